// SPDX-License-Identifier: Apache-2.0
// Turns a program's main function into an exit code, and a failure into one line an operator can act on.
import { AmbitError, describeError } from './error.ts';

export type Main = (argv: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>;

/** Runs `main` with the process's arguments and environment; exits 1 with the error's text when it throws. */
export async function runMain(main: Main): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2), process.env);
  } catch (error) {
    const known = error instanceof AmbitError;
    process.stderr.write(`${known ? `${error.code}: ` : ''}${describeError(error)}\n`);
    if (!known && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
    process.exitCode = 1;
  }
  // Handles that should have been closed must not keep a finished program alive.
  process.exit();
}
