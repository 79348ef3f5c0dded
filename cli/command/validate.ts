// SPDX-License-Identifier: Apache-2.0
// `ambit validate`: says offline what istiod would say about objects once they are applied.

import { Command } from 'commander';
import pc from 'picocolors';
import { type FileProblem, type Validation, validateFiles } from '#lib/model/validate/files.ts';
import { readTexts } from '../files/read.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';

export function validateCommand(io: CliIo, exit: (code: number) => void): Command {
  return new Command('validate')
    .description('check objects in files; exits 1 when there are errors')
    .argument('<files...>', 'files, folders, or - for standard input')
    .addOption(outputOption())
    .action((files: string[], options: { output: Format }) => {
      const result = validateFiles(readTexts(files));
      io.out(formatValue(options.output, result.problems, () => validationText(result, io.color)));
      if (result.problems.some(({ severity }) => severity === 'error')) exit(1);
    });
}

/** One line for each problem, `FILE:LINE: SEVERITY: OBJECT: FIELD: MESSAGE; FIX`, and a line that counts. */
export function validationText({ objects, problems }: Validation, color: boolean): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const counts = [counted(errors, 'error'), counted(problems.length - errors, 'warning')];
  const summary = `${counted(objects, 'object')} checked: ${counts.join(', ')}`;
  return `${[...problems.map((problem) => line(problem, color)), summary].join('\n')}\n`;
}

function line({ field, file, fix, line: at, message, object, severity }: FileProblem, color: boolean): string {
  const paint = pc.createColors(color);
  const mark = severity === 'error' ? paint.red('error') : paint.yellow('warning');
  const what = [object, field].filter((part) => part !== '').map((part) => `${part}: `);
  return `${file}:${at}: ${mark}: ${what.join('')}${message}${fix === undefined ? '' : `; ${fix}`}`;
}

function counted(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}
