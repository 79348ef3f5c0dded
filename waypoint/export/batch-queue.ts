// SPDX-License-Identifier: Apache-2.0
// What waits for a collector: bounded, sent in batches, and sent again with growing pauses while the collector is away. Whoever adds
// never waits; what does not fit is dropped and counted.
//
//   idle ──add──▶ gathering ──full or due──▶ sending ──▶ idle
//                                 ▲             │ away
//                                 └── pausing ◀─┘
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';

/** What became of a batch. `retry`: the collector is away or busy. `refused`: sending it again would not help. */
export type SendOutcome =
  | { readonly kind: 'taken'; readonly rejected: number; readonly reason: string }
  | { readonly kind: 'retry'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface BatchQueueOptions<T> {
  /** Of the provider, for log lines. */
  readonly name: string;
  readonly send: (batch: readonly T[]) => Promise<SendOutcome>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly maxItems?: number;
  readonly batchItems?: number;
  /** From the first item of a batch on. */
  readonly delayMs?: number;
}

/** OpenTelemetry's own defaults for its batching processor, but a shorter wait. */
const MAX_ITEMS = 2048;
const BATCH_ITEMS = 512;
const DELAY_MS = 1000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export class BatchQueue<T> {
  /** Taken by the collector. */
  sent = 0;
  /** Did not fit. */
  overflowed = 0;
  /** The collector did not want them. */
  refused = 0;
  readonly #options: BatchQueueOptions<T>;
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  #items: T[] = [];
  #running: Promise<void> | undefined;
  #cancelDelay: (() => void) | undefined;
  #trouble = '';

  constructor(options: BatchQueueOptions<T>) {
    this.#options = options;
    const { random } = options;
    this.#backoff = new Backoff({ initialMs: FIRST_PAUSE_MS, maxMs: LONGEST_PAUSE_MS, jitter: 0.2, random });
  }

  get waiting(): number {
    return this.#items.length;
  }

  add(item: T): void {
    const { batchItems = BATCH_ITEMS, clock, delayMs = DELAY_MS, maxItems = MAX_ITEMS } = this.#options;
    if (this.#items.length >= maxItems) {
      this.overflowed++;
      return;
    }
    this.#items.push(item);
    if (this.#running !== undefined) return;
    if (this.#items.length >= batchItems) this.#run();
    else this.#cancelDelay ??= clock.after(delayMs, () => this.#run());
  }

  /** Sends what waits, once more and at most until `deadlineMs` have passed; what is left then is dropped. */
  async close(deadlineMs: number): Promise<void> {
    if (this.#items.length > 0) this.#run();
    const { clock } = this.#options;
    const cancel = clock.after(deadlineMs, () => this.#stopped.abort());
    // A collector that is away now will hardly be back in the time that is left.
    if (this.#trouble !== '') this.#stopped.abort();
    await this.#running;
    cancel();
    this.overflowed += this.#items.length;
    this.#items = [];
  }

  #run(): void {
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
  }

  /** Sends until nothing waits. */
  async #drain(): Promise<void> {
    const { batchItems = BATCH_ITEMS, clock, send } = this.#options;
    while (this.#items.length > 0) {
      const batch = this.#items.slice(0, batchItems);
      const outcome = await orAborted(send(batch), this.#stopped.signal);
      if (outcome.kind === 'retry') {
        this.#away(outcome.reason);
        if (this.#stopped.signal.aborted) return;
        await clock.sleep(this.#backoff.next(), this.#stopped.signal).catch(() => {});
        if (this.#stopped.signal.aborted) return;
        continue;
      }
      this.#items = this.#items.slice(batch.length);
      this.#answered(batch.length, outcome);
    }
  }

  #answered(count: number, outcome: Exclude<SendOutcome, { kind: 'retry' }>): void {
    const { log, name } = this.#options;
    const rejected = outcome.kind === 'taken' ? outcome.rejected : count;
    this.sent += count - rejected;
    this.refused += rejected;
    this.#backoff.reset();
    if (outcome.kind === 'refused' || rejected > 0) {
      this.#tell('the collector does not take what it is sent', outcome.reason);
      return;
    }
    if (this.#trouble !== '') log.info('the collector takes telemetry again', { provider: name, dropped: this.#lost });
    this.#trouble = '';
  }

  #away(reason: string): void {
    this.#tell('the collector cannot be reached; telemetry is kept while there is room, then dropped', reason);
  }

  /** One line when trouble begins, and one when it becomes another. */
  #tell(message: string, reason: string): void {
    const { log, name } = this.#options;
    if (this.#trouble === message) return;
    this.#trouble = message;
    log.warn(message, { provider: name, reason, waiting: this.#items.length });
  }

  get #lost(): number {
    return this.overflowed + this.refused;
  }
}

/** What `sent` becomes, or a reason to stop as soon as the signal comes. */
function orAborted(sent: Promise<SendOutcome>, signal: AbortSignal): Promise<SendOutcome> {
  return new Promise((resolve, reject) => {
    const end = (): void => resolve({ kind: 'retry', reason: 'the proxy ends' });
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    sent.then(resolve, reject).finally(() => signal.removeEventListener('abort', end));
  });
}
