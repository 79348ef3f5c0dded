// SPDX-License-Identifier: Apache-2.0
// How much a peer may ask for without doing anything useful. Two budgets of frames: one for control frames, one for
// streams that are thrown away. Time refills both (`tick`), data in either direction refills the first: an honest peer
// that moves data sends WINDOW_UPDATE and PING in proportion to it.
import type { H2Limits } from './settings.ts';

// A peer owes us at most two WINDOW_UPDATEs a DATA frame; twice that is generous.
const REFILL_PER_FRAME = 4;

/** The budgets of one connection. */
export class FloodGuard {
  readonly #limits: H2Limits;
  #control: number;
  #resets: number;
  #lastMs = -1;

  constructor(limits: H2Limits) {
    this.#limits = limits;
    this.#control = limits.controlBurst;
    this.#resets = limits.resetBurst;
  }

  /** A frame that carried nothing for an application; false if there were too many. */
  spendControl(): boolean {
    return --this.#control >= 0;
  }

  /** A stream that was opened in vain; false if there were too many. */
  spendReset(): boolean {
    return --this.#resets >= 0;
  }

  /** A DATA frame with something in it went out or came in. */
  useful(): void {
    if (this.#control < this.#limits.controlBurst) this.#control += REFILL_PER_FRAME;
  }

  /** A stream was answered. */
  answered(): void {
    if (this.#resets < this.#limits.resetBurst) this.#resets++;
  }

  /** Refills by the time since the last call, milliseconds of a monotonic clock. */
  tick(nowMs: number): void {
    const { controlBurst, controlPerSecond, resetBurst, resetPerSecond } = this.#limits;
    const elapsed = this.#lastMs < 0 ? 0 : nowMs - this.#lastMs;
    const control = Math.floor((elapsed * controlPerSecond) / 1000);
    const resets = Math.floor((elapsed * resetPerSecond) / 1000);
    if (this.#lastMs >= 0 && control === 0 && resets === 0) return; // let small steps add up
    this.#lastMs = nowMs;
    this.#control = Math.min(controlBurst, this.#control + control);
    this.#resets = Math.min(resetBurst, this.#resets + resets);
  }
}
