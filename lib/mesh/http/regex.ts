// SPDX-License-Identifier: Apache-2.0
//
// RE2 patterns of routes and policies on V8's engine. The syntax is translated, what RE2 does not have is refused, and
// `boundBacktracking` makes V8 change to its linear-time engine when a pattern backtracks too much, so that no request
// can hold a data-plane loop with a path made for it.

import { setFlagsFromString } from 'node:v8';
import { table } from '#lib/kit/table.ts';

/** To be called once by each program that matches requests, before it compiles patterns. Process-wide. */
export function boundBacktracking(): void {
  setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
}

const CLASSES = table<string>({
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
});

class SyntaxProblem extends Error {}

/** A pattern as JavaScript's source. @throws SyntaxProblem */
function translate(source: string): string {
  let out = '';
  let open = '';
  for (let i = 0; i < source.length; i++) {
    const c = source[i]!;
    if (c === '\\') {
      const end = quoteEnd(source, i);
      if (end > 0) {
        out += source.slice(i + 2, end).replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
        i = end + 1;
      } else {
        out += escaped(source, i);
        i++;
      }
    } else if (c === '[') {
      const end = classEnd(source, i);
      out += characterClass(source.slice(i, end));
      i = end - 1;
    } else if (c === '(' && source[i + 1] === '?') {
      const group = /^\(\?(?:P?<([A-Za-z_]\w*)>|([a-zA-Z]*(?:-[a-zA-Z]+)?)(:|\)))/.exec(source.slice(i));
      if (group === null) throw new SyntaxProblem('uses a look-around, which RE2 does not have');
      const [text, name, flags = '', closing] = group;
      if (/[^ims-]/.test(flags)) throw new SyntaxProblem(`uses flags (?${flags}), of which only i, m and s are known`);
      if (name !== undefined) out += `(?<${name}>`;
      else if (closing === ':') out += `(?${flags}:`;
      else {
        if (i !== 0) throw new SyntaxProblem('sets flags in the middle, which is only known at the start');
        out += `(?${flags}:`;
        open = ')';
      }
      i += text.length - 1;
    } else {
      out += c;
    }
  }
  return out + open;
}

/** Index of the `\E` that ends a quotation, 0 when none begins here. */
function quoteEnd(source: string, at: number): number {
  if (source[at + 1] !== 'Q') return 0;
  const end = source.indexOf('\\E', at + 2);
  return end < 0 ? source.length : end;
}

function escaped(source: string, at: number): string {
  const c = source[at + 1];
  if (c === undefined) throw new SyntaxProblem('ends with a backslash');
  if (/[1-9]/.test(c) || c === 'k') throw new SyntaxProblem('uses a back-reference, which RE2 does not have');
  if (c === 'A') return '^';
  if (c === 'z') return '$';
  if (c === 'a') return '\\x07';
  if (c === 'C' || c === 'p' || c === 'P') throw new SyntaxProblem(`uses \\${c}, which is not known here`);
  return `\\${c}`;
}

/** Index after the class's closing bracket. */
function classEnd(source: string, at: number): number {
  let i = at + 1;
  if (source[i] === '^') i++;
  if (source[i] === ']') i++;
  for (; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (source.startsWith('[:', i)) i = source.indexOf(':]', i) < 0 ? source.length : source.indexOf(':]', i) + 1;
    else if (source[i] === ']') return i + 1;
  }
  throw new SyntaxProblem('has a character class without end');
}

function characterClass(text: string): string {
  const negated = text[1] === '^';
  let body = text.slice(negated ? 2 : 1, -1);
  if (body.startsWith(']')) body = `\\${body}`;
  body = body.replaceAll(/\[:(\^?)(\w+):\]/g, (_all, not: string, name: string) => {
    const members = CLASSES[name];
    if (members === undefined || not !== '') throw new SyntaxProblem(`uses the class [:${not}${name}:]`);
    return members;
  });
  return `[${negated ? '^' : ''}${body.replaceAll('[', '\\[')}]`;
}

/** A compiled pattern, or in a sentence why it is none. */
export type RegexOrProblem = RegExp | string;

/** A pattern that must match a whole value. */
export function wholeRegex(source: string, ignoreCase = false): RegexOrProblem {
  return compiled(`^(?:${'\u0000'})$`, source, ignoreCase ? 'i' : '');
}

/** A pattern that replaces whatever it finds. */
export function replacingRegex(source: string): RegexOrProblem {
  return compiled('\u0000', source, 'g');
}

function compiled(frame: string, source: string, flags: string): RegexOrProblem {
  try {
    const body = translate(source);
    return new RegExp(
      frame.replace('\u0000', () => body),
      flags,
    );
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.message;
    if (error instanceof SyntaxError) return 'is no regular expression (RE2 syntax)';
    throw error;
  }
}

/** The characters every match of the pattern begins with; '' when that cannot be told. */
export function literalPrefix(source: string): string {
  if (source.includes('|') || source.startsWith('(?')) return '';
  let end = 0;
  while (end < source.length && !/[.*+?^${}()[\]\\]/.test(source[end]!)) end++;
  // What a quantifier follows may be absent.
  return /[*?{]/.test(source[end] ?? '') ? source.slice(0, Math.max(0, end - 1)) : source.slice(0, end);
}
