// SPDX-License-Identifier: Apache-2.0
// `ambit validate`: says offline what istiod would say about objects once they are applied.

import { Command } from 'commander';
import pc from 'picocolors';
import type { KubeObject } from '#lib/model/object/object.ts';
import { validateObject } from '#lib/model/validate/object.ts';
import { SchemaChecker } from '#lib/model/validate/schema.ts';
import { type Documents, readDocuments } from '../files/documents.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';

/** One thing wrong, with its place in the files. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly object: string;
  readonly field: string;
  readonly message: string;
  readonly fix?: string;
}

export function validateCommand(io: CliIo, exit: (code: number) => void): Command {
  return new Command('validate')
    .description('check objects in files; exits 1 when there are errors')
    .argument('<files...>', 'files, folders, or - for standard input')
    .addOption(outputOption())
    .action((files: string[], options: { output: Format }) => {
      const documents = readDocuments(files);
      const findings = validate(documents);
      io.out(formatValue(options.output, findings, () => findingsText(findings, documents.objects.length, io.color)));
      if (findings.some(({ severity }) => severity === 'error')) exit(1);
    });
}

/** Everything wrong with the objects, in the order of the files. */
export function validate({ objects, unreadable }: Documents): Finding[] {
  const schemas = new SchemaChecker();
  const broken = unreadable.map(
    ({ file, line, message }): Finding => ({
      file,
      line,
      severity: 'error',
      code: 'Unreadable',
      object: '',
      field: '',
      message,
    }),
  );
  const wrong = objects.flatMap(({ file, line, object }) =>
    validateObject(object as unknown as KubeObject, schemas).map((problem): Finding => ({ file, line, ...problem })),
  );
  return [...broken, ...wrong].sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
}

export function findingsText(findings: readonly Finding[], checked: number, color: boolean): string {
  const paint = pc.createColors(color);
  const lines = findings.map(({ field, file, fix, line, message, object, severity }) => {
    const mark = severity === 'error' ? paint.red('error') : paint.yellow('warning');
    const what = [object, field].filter((part) => part !== '').join(': ');
    return `${file}:${line}: ${mark}: ${what === '' ? '' : `${what}: `}${message}${fix === undefined ? '' : `; ${fix}`}`;
  });
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const counted = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
  const summary = `${counted(checked, 'object')} checked: ${counted(errors, 'error')}, ${counted(findings.length - errors, 'warning')}`;
  return `${[...lines, summary].join('\n')}\n`;
}
