// SPDX-License-Identifier: Apache-2.0
// Subcommands that are programs of their own: everything after their name is theirs, options included, so they are
// started before this command's own options are looked at.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';

const ROOT = join(import.meta.dirname, '../..');

const PROGRAMS: Readonly<Record<string, { readonly file: string; readonly about: string }>> = {
  playground: { file: 'playground/main.ts', about: 'a cluster with the mesh on this machine' },
  kubectl: { file: 'playground/kubectl.ts', about: 'real kubectl, fetched on first use' },
};

/** The exit code of the program that `argv` names first; undefined when it names none. */
export async function startProgram(argv: readonly string[]): Promise<number | undefined> {
  const program = Object.hasOwn(PROGRAMS, argv[0] ?? '') ? PROGRAMS[argv[0]!] : undefined;
  if (program === undefined) return undefined;
  const words = ['--disable-warning=ExperimentalWarning', join(ROOT, program.file), ...argv.slice(1)];
  const child = spawn(process.execPath, words, { stdio: 'inherit' });
  // A terminal sends its signals to both; this process waits for the other's end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new AmbitError('CLI_START', `cannot start ${program.file}`, { cause })));
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 130)));
  });
}

/** The same programs as lines of the help text. */
export function programCommands(): Command[] {
  return Object.entries(PROGRAMS).map(([name, { about }]) => new Command(name).description(about));
}
