// SPDX-License-Identifier: Apache-2.0
// `ambit validate`: says offline what istiod would say about objects once they are applied.

import { Command } from 'commander';
import pc from 'picocolors';
import { type FileProblem, validateFiles } from '#lib/model/validate/files.ts';
import { readTexts } from '../files/texts.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';

export function validateCommand(io: CliIo, exit: (code: number) => void): Command {
  return new Command('validate')
    .description('check objects in files; exits 1 when there are errors')
    .argument('<files...>', 'files, folders, or - for standard input')
    .addOption(outputOption())
    .action((files: string[], options: { output: Format }) => {
      const { objects, problems } = validateFiles(readTexts(files));
      io.out(formatValue(options.output, problems, () => findingsText(problems, objects, io.color)));
      if (problems.some(({ severity }) => severity === 'error')) exit(1);
    });
}

export function findingsText(findings: readonly FileProblem[], checked: number, color: boolean): string {
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
