// SPDX-License-Identifier: Apache-2.0
// The end of a proxy: begun once, by a signal, by request or because it cannot go on, and told by an exit code.
//
//   running --stop, fatal--> draining --closed--> ended (0, or 1 after fatal)
import type { Logger } from '#lib/kit/log.ts';
import { Readiness } from '#lib/kit/readiness.ts';

export interface LifeOptions {
  readonly log: Logger;
  /** How long connections get to end by themselves. */
  readonly drainMs: number;
  /** Ends every part in good order, within the drain deadline. */
  readonly close: () => Promise<void>;
}

export class Life {
  readonly readiness = new Readiness();
  readonly #options: LifeOptions;
  readonly #ended = Promise.withResolvers<number>();
  #ending = false;

  constructor(options: LifeOptions) {
    this.#options = options;
  }

  /** It has begun to end: nothing new is begun. */
  get ending(): boolean {
    return this.#ending;
  }

  /** Begins to end: gracefully, within the drain deadline. Later calls change nothing. */
  stop(reason: string): void {
    if (this.#ending) return;
    this.#options.log.info('draining', { reason, deadlineMs: this.#options.drainMs });
    this.#end().then(
      () => this.#ended.resolve(0),
      (error: unknown) => this.#ended.reject(error),
    );
  }

  /** Something without which there is no going on has failed. */
  fatal(reason: string): void {
    if (this.#ending) {
      this.#options.log.debug('failed while ending', { reason });
      return;
    }
    this.#options.log.error('cannot go on', { reason });
    this.#end().then(
      () => this.#ended.resolve(1),
      () => this.#ended.resolve(1),
    );
  }

  /** Resolves with the exit code when everything has ended. */
  whenEnded(): Promise<number> {
    return this.#ended.promise;
  }

  #end(): Promise<void> {
    this.#ending = true;
    this.readiness.hold('drain');
    return this.#options.close();
  }
}
