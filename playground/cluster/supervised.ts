// SPDX-License-Identifier: Apache-2.0
// A program of the cluster that is started again whenever it ends, until it is stopped.
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import type { Logger } from '#lib/kit/log.ts';

const RESTART_MS = 200;

export interface SupervisedOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** File that receives its output. */
  readonly logFile: string;
  readonly log: Logger;
}

export class Supervised {
  readonly #options: SupervisedOptions;
  readonly #logFd: number;
  #child: ChildProcess | undefined;
  #stopped = false;

  constructor(options: SupervisedOptions) {
    this.#options = options;
    this.#logFd = openSync(options.logFile, 'a', 0o640);
  }

  start(): void {
    const { name, command, env, log } = this.#options;
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', this.#logFd, this.#logFd],
      env: { ...env },
    });
    this.#child = child;
    let ended = false;
    const over = (how: string): void => {
      if (ended || this.#stopped) return;
      ended = true;
      log.warn('program ended, starting it again', { name, how });
      setTimeout(() => this.#stopped || this.start(), RESTART_MS);
    };
    child.once('error', (error) => over(error.message));
    child.once('exit', (status, signal) => over(signal ?? `exit ${status}`));
  }

  /** Sends a signal; after one that ends it, the program starts again. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  stop(): void {
    this.#stopped = true;
    this.#child?.kill('SIGKILL');
  }
}
