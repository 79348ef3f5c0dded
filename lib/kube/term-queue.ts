// SPDX-License-Identifier: Apache-2.0
// The work of whoever leads: a queue that there is from a term's beginning to its end. What is named outside of a term is let go; the
// next term begins with all there is.
import type { Term } from './leader.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

export class TermQueue {
  readonly #options: Omit<WorkQueueOptions, 'holds'>;
  #queue: WorkQueue | undefined;

  constructor(options: Omit<WorkQueueOptions, 'holds'>) {
    this.#options = options;
  }

  add(key: string): void {
    this.#queue?.add(key);
  }

  /** Works until the term ends, on `all` to begin with. */
  lead({ holds, signal }: Term, all: Iterable<string>): void {
    const queue = new WorkQueue({ ...this.#options, holds });
    this.#queue = queue;
    for (const key of all) queue.add(key);
    signal.addEventListener('abort', () => {
      queue.stop();
      if (this.#queue === queue) this.#queue = undefined;
    });
  }
}
