// SPDX-License-Identifier: Apache-2.0
// The catalogue of errors, docs/guide/errors.md, read off the sources: each code with what it says, what it advises and
// where it is raised. Generated, so that a new error is documented by being written.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sourceFiles } from '../check/imports.ts';

export interface CataloguedError {
  readonly code: string;
  readonly message: string;
  readonly advice: string;
  readonly file: string;
}

const RAISED = /new \w*Error\(\s*'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)',\s*/g;
const ADVICE = /\badvice:\s*/;
/** How far behind a code its advice may stand; further on, it belongs to another error. */
const REACH = 700;

/** The errors raised in one file's text, in order. */
export function errorsOf(file: string, text: string): CataloguedError[] {
  const found = [...text.matchAll(RAISED)];
  return found.map((match, i) => {
    const start = match.index + match[0].length;
    const rest = text.slice(start, Math.min(start + REACH, found[i + 1]?.index ?? text.length));
    const end = rest.indexOf(';');
    const call = end === -1 ? rest : rest.slice(0, statementEnd(rest));
    const advice = ADVICE.exec(call);
    return {
      code: match[1]!,
      message: literalAt(call, 0),
      advice: advice === null ? '' : literalAt(call, advice.index + advice[0].length),
      file,
    };
  });
}

/** The Markdown table of all errors below `root`, by code. */
export function errorCatalogue(root: string): string {
  const errors = sourceFiles(root)
    .filter((file) => !/\.(test|bench|fuzz)\.ts$|^(e2e|tools|lib\/testkit)\//.test(file))
    .flatMap((file) => errorsOf(file, readFileSync(join(root, file), 'utf8')))
    .sort((a, b) => a.code.localeCompare(b.code) || a.file.localeCompare(b.file));
  const rows = errors.map(
    ({ code, message, advice, file }) => `| \`${code}\` | ${cell(message)} | ${cell(advice)} | \`${file}\` |`,
  );
  return [
    '# Errors',
    '',
    'Every error has a code that stays, a message, and where there is something to do, advice. `…` stands for what the moment fills in.',
    'This page is made by `make gen` from the sources.',
    '',
    '| code | says | advice | raised in |',
    '|---|---|---|---|',
    ...new Set(rows),
    '',
  ].join('\n');
}

export function generateErrors(root: string): void {
  const path = join(root, 'docs/guide/errors.md');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, errorCatalogue(root));
}

/** Index of the semicolon that ends the statement: the first outside of literals. */
function statementEnd(text: string): number {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote !== '') {
      if (char === '\\') i++;
      else if (char === quote) quote = '';
    } else if (char === "'" || char === '`' || char === '"') quote = char;
    else if (char === ';') return i;
  }
  return text.length;
}

/** The text literal that begins at `at`, its insertions as `…`; `…` where there is an expression instead. */
function literalAt(text: string, at: number): string {
  const quote = text[at];
  if (quote !== "'" && quote !== '`' && quote !== '"') return '…';
  let out = '';
  let depth = 0;
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i]!;
    if (depth > 0) {
      if (char === '{') depth++;
      else if (char === '}') depth--;
    } else if (char === '\\') out += text[++i] === 'n' ? ' ' : (text[i] ?? '');
    else if (char === quote) return out;
    else if (quote === '`' && char === '$' && text[i + 1] === '{') {
      out += '…';
      depth = 1;
      i++;
    } else out += char;
  }
  return out;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
}
