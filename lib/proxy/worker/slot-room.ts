// SPDX-License-Identifier: Apache-2.0
// Counter slots of one data-plane process, as they are taken and given back. What was given back is told to the main process, which reads
// it for the last time and says so; only then may it count for something else.
import type { Counters } from '#lib/loop/shared/counters.ts';
import type { CommonToMain, SlotRun } from '../control.ts';

/** Runs in one message, so that a datagram stays well under 64 KiB. */
const RUNS_PER_MESSAGE = 1000;

export class SlotRoom {
  readonly #counters: Counters;
  readonly #toMain: (message: CommonToMain) => void;
  #leaving: SlotRun[] = [];

  constructor(counters: Counters, toMain: (message: CommonToMain) => void) {
    this.#counters = counters;
    this.#toMain = toMain;
  }

  /** A slot for that series, which main is told of; -1 when there is no room. */
  take(name: string, labels: Readonly<Record<string, string>>): number {
    const slot = this.#counters.allocate();
    if (slot >= 0) this.#toMain({ kind: 'series', slot, name, labels });
    return slot;
  }

  /** The series behind these slots are over; -1 is none. Told by `flush`. */
  leave(first: number, count = 1): void {
    if (first >= 0) this.#leaving.push([first, count]);
  }

  flush(): void {
    for (let at = 0; at < this.#leaving.length; at += RUNS_PER_MESSAGE) {
      this.#toMain({ kind: 'series-gone', runs: this.#leaving.slice(at, at + RUNS_PER_MESSAGE) });
    }
    this.#leaving = [];
  }

  /** Main has read them. */
  freed(runs: readonly SlotRun[]): void {
    for (const [first, count] of runs) this.#counters.release(first, count);
  }
}
