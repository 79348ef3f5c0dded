// SPDX-License-Identifier: Apache-2.0
// How much a peer may ask for without doing anything useful. Budgets of frames: control frames, of these PING and such; WINDOW_UPDATE; and
// streams that are thrown away, of these such as nothing was done for yet, and such as broke the rules. Time refills them (`tick`); data moved and streams answered do too, for an honest peer
// sends PING and WINDOW_UPDATE in proportion to them.
import type { H2Limits } from './settings.ts';

// WINDOW_UPDATEs that a DATA frame of ours entitles to: some for the frame, one more for each 512 octets of it (two are
// due for each piece a peer reads, and nobody reads in pieces below 1 KiB). They may all come after a window's worth of
// frames, so they are kept well beyond the burst.
const UPDATES_PER_FRAME = 4;
const OCTETS_PER_UPDATE_SHIFT = 9;
const MOST_UPDATES = 1 << 20;

// A tunnel's other limits follow from what its applications may do; nothing they do makes PING or SETTINGS.
const PROBE_BURST = 1000;
const PROBES_PER_SECOND = 500;

/** The budgets of one connection. */
export class FloodGuard {
  readonly #limits: H2Limits;
  #control: number;
  #probes: number;
  #updates: number;
  #resets: number;
  #idle: number;
  #faults: number;
  #lastMs = -1;

  constructor(limits: H2Limits) {
    this.#limits = limits;
    this.#control = limits.controlBurst;
    this.#probes = PROBE_BURST;
    this.#updates = limits.controlBurst;
    this.#resets = limits.resetBurst;
    this.#idle = limits.idleResetBurst;
    this.#faults = limits.faultBurst;
  }

  /** A frame that carried nothing for an application; false if there were too many. */
  spendControl(): boolean {
    return --this.#control >= 0;
  }

  /** A PING, SETTINGS, or a frame that means nothing to us: no traffic of applications makes many; false if there were too many. */
  spendProbe(): boolean {
    return --this.#probes >= 0;
  }

  /** A WINDOW_UPDATE; false if there were too many. */
  spendUpdate(): boolean {
    return --this.#updates >= 0;
  }

  /** A stream that was opened in vain: reset before it was answered, or before it carried anything; false if there were too many. */
  spendReset(): boolean {
    return --this.#resets >= 0;
  }

  /** One that was reset before anything was done for it; false if there were too many. */
  spendIdleReset(): boolean {
    return --this.#idle >= 0 && this.spendReset();
  }

  /** One that ended because its peer broke the rules, which no application can make a peer do; false if there were too many. */
  spendFault(): boolean {
    return --this.#faults >= 0 && this.spendReset();
  }

  /** A DATA frame worth the name went out. */
  sent(octets: number): void {
    if (this.#updates < MOST_UPDATES) this.#updates += UPDATES_PER_FRAME + (octets >>> OCTETS_PER_UPDATE_SHIFT);
    this.#useful();
  }

  /** A DATA frame worth the name came in. */
  received(): void {
    this.#useful();
  }

  /** A stream was answered, and ended in good order. */
  answered(): void {
    const { faultBurst, idleResetBurst, resetBurst } = this.#limits;
    if (this.#resets < resetBurst) this.#resets++;
    if (this.#idle < idleResetBurst) this.#idle++;
    if (this.#faults < faultBurst) this.#faults++;
    this.#useful();
  }

  #useful(): void {
    if (this.#control < this.#limits.controlBurst) this.#control++;
    if (this.#probes < PROBE_BURST) this.#probes++;
  }

  /** Refills by the time since the last call, milliseconds of a monotonic clock. */
  tick(nowMs: number): void {
    const { controlBurst, controlPerSecond, resetBurst, resetPerSecond } = this.#limits;
    const { faultBurst, faultPerSecond, idleResetBurst, idleResetPerSecond } = this.#limits;
    const elapsed = this.#lastMs < 0 ? 0 : nowMs - this.#lastMs;
    const control = Math.floor((elapsed * controlPerSecond) / 1000);
    const resets = Math.floor((elapsed * resetPerSecond) / 1000);
    const idle = Math.floor((elapsed * idleResetPerSecond) / 1000);
    const faults = Math.floor((elapsed * faultPerSecond) / 1000);
    if (this.#lastMs >= 0 && control + resets + idle + faults === 0) return; // let small steps add up
    this.#lastMs = nowMs;
    this.#control = Math.min(controlBurst, this.#control + control);
    this.#probes = Math.min(PROBE_BURST, this.#probes + Math.floor((elapsed * PROBES_PER_SECOND) / 1000));
    if (this.#updates < controlBurst) this.#updates = Math.min(controlBurst, this.#updates + control);
    this.#resets = Math.min(resetBurst, this.#resets + resets);
    this.#idle = Math.min(idleResetBurst, this.#idle + idle);
    this.#faults = Math.min(faultBurst, this.#faults + faults);
  }
}
