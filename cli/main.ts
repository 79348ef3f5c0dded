// SPDX-License-Identifier: Apache-2.0
// The `ambit` command.

import { runMain } from '#lib/kit/main.ts';
import { startProgram } from './command/programs.ts';
import { runCli } from './program.ts';

await runMain(
  async (argv, env) =>
    (await startProgram(argv)) ??
    (await runCli(argv, {
      env: (name) => env[name],
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
      color: process.stdout.isTTY === true && env['NO_COLOR'] === undefined,
    })),
);
