// SPDX-License-Identifier: Apache-2.0
// Who waits at the doors for tunnels, and why: counted, told in lines, and sent to the main process for its pages once a second
// while somebody does. An address is told when it begins to wait, then every ten seconds; all together once a second at most.
import type { Loop } from '#lib/loop/loop.ts';
import { RateLimit } from '#lib/loop/rate-limit.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import { type HeldObserver, type Offender, type Offenders, offencesOf } from '#lib/net/offenders.ts';
import type { HeldAddress } from '../control.ts';
import type { CutTelemetry } from './cut-log.ts';

const REPORT_MS = 1000;
const LINES_PER_SECOND = 1;
const AGAIN_MS = 10_000;
/** Who has nobody waiting is told for so long still: its connections are let in and come again. */
const GONE_MS = 5_000;
/** Addresses in a report, those with the most connections. */
const TOLD = 50;

export interface HeldReportParts {
  readonly loop: Loop;
  readonly offenders: Offenders;
  readonly telemetry: Omit<CutTelemetry, 'count'> & {
    count(name: string, labels: Readonly<Record<string, string>>, n: number): void;
  };
  /** Wall clock, ms. */
  readonly now: () => number;
  readonly toMain: (message: { readonly kind: 'held'; readonly list: readonly HeldAddress[] }) => void;
}

export class HeldReport implements HeldObserver, TimerTarget {
  readonly #parts: HeldReportParts;
  readonly #lines: RateLimit;
  /** Those to report, with when they were told in a line. */
  readonly #held = new Map<Offender, number>();
  #waiting = 0;
  #untold = 0;
  #reporting = false;

  constructor(parts: HeldReportParts) {
    this.#parts = parts;
    this.#lines = new RateLimit(LINES_PER_SECOND, parts.loop.now);
    parts.offenders.observer = this;
  }

  onHeld(offender: Offender): void {
    const { loop, telemetry } = this.#parts;
    this.#waiting++;
    telemetry.count('ambit_connections_waiting', {}, 1);
    telemetry.count('ambit_connections_held_total', {}, 1);
    const toldAt = this.#held.get(offender) ?? Number.NEGATIVE_INFINITY;
    if (loop.now - toldAt >= AGAIN_MS) this.#held.set(offender, this.#line(offender) ? loop.now : toldAt);
    if (this.#reporting) return;
    this.#reporting = true;
    loop.after(REPORT_MS, this);
  }

  onLetGo(): void {
    this.#waiting--;
    this.#parts.telemetry.count('ambit_connections_waiting', {}, -1);
  }

  onTimer(): void {
    const { loop, toMain } = this.#parts;
    for (const offender of this.#held.keys())
      if (offender.waiting === 0 && loop.now - offender.waitedAt > GONE_MS) this.#held.delete(offender);
    const most = [...this.#held.keys()].sort((a, b) => b.waiting - a.waiting).slice(0, TOLD);
    toMain({ kind: 'held', list: most.map((offender) => this.#shown(offender)) });
    this.#reporting = this.#held.size > 0;
    if (this.#reporting) loop.after(REPORT_MS, this);
  }

  /** False when there were too many lines. */
  #line(offender: Offender): boolean {
    const { loop, telemetry } = this.#parts;
    if (!this.#lines.take(loop.now)) {
      this.#untold++;
      return false;
    }
    const fields = { ...this.#shown(offender), 'waiting.all': this.#waiting, untold: this.#untold };
    telemetry.message('warn', 'connections of an address have to wait, since earlier ones ended badly', fields);
    this.#untold = 0;
    return true;
  }

  #shown(offender: Offender): HeldAddress {
    const { loop, now } = this.#parts;
    const { address, reason, waiting, waitsSince } = offender;
    const since = new Date(now() - (loop.now - waitsSince)).toISOString();
    return { address, waiting, since, offences: Math.round(offencesOf(offender, loop.now)), reason };
  }
}
