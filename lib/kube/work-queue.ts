// SPDX-License-Identifier: Apache-2.0
// Reconciliation by key: each key is worked on by one worker at a time, a key that is named again meanwhile is worked
// on once more, and a failure is tried again later with more and more patience. Order between keys does not matter.

import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { isKubeError } from './error.ts';

const INITIAL_RETRY_MS = 100;
const MAX_RETRY_MS = 60_000;
/** A server that is away says nothing about the key: it is tried soon after the server's return. */
const MAX_AWAY_MS = 3_000;

export interface WorkQueueOptions {
  /** What is reconciled, for the log: `root config map`. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many keys are worked on at the same time. */
  readonly concurrency: number;
  /** Brings the world in line with what is wanted for `key`; throws to be called again later. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<void>;
  /** Asked before each key; when it says no, nothing is done any more. */
  readonly holds?: () => boolean;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #retries = new Map<string, () => void>();
  readonly #stop = new AbortController();
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait, run or will be retried. */
  get depth(): number {
    return this.#waiting.size + this.#running.size + this.#retries.size;
  }

  add(key: string): void {
    if (this.#stop.signal.aborted) return;
    this.#retries.get(key)?.();
    this.#retries.delete(key);
    this.#waiting.add(key);
    this.#next();
  }

  /** Resolves when nothing waits or runs; retries that are due later do not count. */
  async whenIdle(): Promise<void> {
    if (this.#waiting.size + this.#running.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  stop(): void {
    this.#stop.abort();
    this.#waiting.clear();
    for (const cancel of this.#retries.values()) cancel();
    this.#retries.clear();
  }

  #next(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.concurrency) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const { holds, log, name, reconcile } = this.#options;
    try {
      if (holds?.() === false) this.stop();
      else await reconcile(key, this.#stop.signal);
      this.#failures.delete(key);
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        const failures = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, failures);
        const most = isKubeError(error, 'KUBE_UNREACHABLE') ? MAX_AWAY_MS : MAX_RETRY_MS;
        const retryMs = Math.min(most, INITIAL_RETRY_MS * 2 ** (failures - 1));
        log[failures === 3 ? 'warn' : 'debug'](`${name} is not as it should be`, {
          object: key,
          error: describeError(error),
          failures,
          retryMs,
        });
        this.#retryLater(key, retryMs);
      }
    }
    this.#running.delete(key);
    this.#next();
    if (this.#waiting.size + this.#running.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  #retryLater(key: string, ms: number): void {
    if (this.#waiting.has(key)) return;
    this.#retries.get(key)?.();
    this.#retries.set(
      key,
      this.#options.clock.after(ms, () => this.add(key)),
    );
  }
}
