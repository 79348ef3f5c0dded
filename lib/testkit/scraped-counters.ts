// SPDX-License-Identifier: Apache-2.0
// A data-plane process's counters and the main process's pages of them, for tests of how long a series is told: what one process
// tells the other is done at once, and time passes when the test says so.
import { Counters } from '#lib/loop/shared/counters.ts';
import type { CommonToMain, SlotRun } from '#lib/proxy/control.ts';
import { Exposition, type Family } from '#lib/proxy/telemetry/exposition.ts';
import type { Fader } from '#lib/proxy/worker/fading.ts';

/** How often a process looks. */
const LOOK_MS = 30_000;

/** What counts in them. */
interface Telemetry extends Fader {
  freed(runs: readonly SlotRun[]): void;
}

type AboutSeries = Extract<CommonToMain, { readonly kind: 'series' | 'series-gone' }>;

export abstract class ScrapedCounters {
  abstract readonly telemetry: Telemetry;
  /** Uids of workloads whose records are gone. */
  readonly gone = new Set<string>();
  readonly counters: Counters;
  readonly exposition: Exposition;
  /** Any clock's, ms. */
  now = 0;

  constructor(families: readonly Family[], slots: number) {
    this.counters = Counters.create(slots);
    this.exposition = new Exposition(families);
  }

  /** Of whatever counts in them: its lines and its vitals go nowhere. */
  get options() {
    return {
      counters: this.counters,
      log: { write: () => true } as never,
      vitals: { setConnections() {} } as never,
      now: (): number => this.now,
    };
  }

  /** What main does with what it is told. */
  onMain(message: AboutSeries): void {
    if (message.kind === 'series') this.exposition.slot(this.counters, message.slot, message.name, message.labels);
    if (message.kind !== 'series-gone') return;
    for (const [first, count] of message.runs) this.exposition.forget(this.counters, first, count);
    this.telemetry.freed(message.runs);
  }

  fade(): void {
    this.telemetry.fade(this.now);
  }

  /** Looks as often as a process does for so long. */
  pass(ms: number): void {
    for (const until = this.now + ms; this.now < until; this.fade()) this.now += LOOK_MS;
  }
}
