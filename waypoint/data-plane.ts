// SPDX-License-Identifier: Apache-2.0
// What the waypoint's main process tells its data-plane processes and hears from them: settings, commits of the store, listeners
// that opened, and the metrics of requests.
import { join } from 'node:path';
import type { Counters } from '#lib/loop/shared/counters.ts';
import type { WorkerProcess } from '#lib/loop/workers.ts';
import type { CommonToMain } from '#lib/proxy/control.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { type PoolParts, type PoolProgram, WorkerPool } from '#lib/proxy/worker-pool.ts';
import type { ToMain, ToWorker, WorkerSettings } from './control.ts';
import {
  BUCKETS,
  HISTOGRAM_SLOTS,
  MESSAGE_COUNTERS,
  MESSAGE_SLOT,
  REQUEST_COUNTER,
  REQUEST_HISTOGRAMS,
} from './telemetry/request-slots.ts';
import { WORKER_FLAGS } from './worker/flags.ts';

export interface DataPlaneOptions extends PoolParts {
  readonly settings: WorkerSettings;
  readonly storeVersion: () => number;
}

const SCRIPT = join(import.meta.dirname, 'worker/main.ts');
/** A set of labels takes 64; pages are taken when they are first counted in. */
const COUNTER_SLOTS = 1 << 20;

export class DataPlane implements PoolProgram<ToMain> {
  readonly pool: WorkerPool<ToWorker, ToMain>;
  /** Ports of open listeners by name. */
  readonly listening = new Map<string, number>();
  readonly #options: DataPlaneOptions;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    const own = { script: SCRIPT, flags: WORKER_FLAGS, counterSlots: COUNTER_SLOTS, program: this };
    this.pool = new WorkerPool({ ...options, ...own });
  }

  configChanged(version: number): void {
    this.pool.broadcast({ kind: 'config', version });
  }

  /** Ends everything in good order within `deadlineMs`. Resolves when all processes are gone. */
  async stop(deadlineMs: number): Promise<void> {
    await this.pool.stop({ kind: 'drain', deadlineMs }, deadlineMs);
  }

  // === PoolProgram ===

  onStart(worker: WorkerProcess): void {
    this.pool.tell(worker, { kind: 'settings', settings: this.#options.settings });
    this.pool.tellTrust(worker);
    this.pool.tell(worker, { kind: 'config', version: this.#options.storeVersion() });
  }

  onMessage(worker: WorkerProcess, message: Exclude<ToMain, CommonToMain>): void {
    switch (message.kind) {
      case 'request-series':
        exposeRequests(this.#options.exposition, worker.counters, message);
        break;
      case 'listening':
        this.#listens(message.listener, message.port);
        break;
    }
  }

  onGone(): void {}

  #listens(listener: string, port: number): void {
    if (!this.listening.has(listener)) this.#options.log.info('listening', { listener, port });
    this.listening.set(listener, port);
  }
}

/** Has a scrape tell what is counted in these slots. */
export function exposeRequests(
  exposition: Exposition,
  counters: Counters,
  { grpc, labels, own = {}, slot }: Extract<ToMain, { kind: 'request-series' }>,
): void {
  const labelsOf = (name: string) => (own[name] === undefined ? labels : own[name]);
  const counter = (name: string, at: number): void => {
    const these = labelsOf(name);
    if (these !== null) exposition.slot(counters, at, name, these);
  };
  counter(REQUEST_COUNTER, slot);
  for (const [i, name] of REQUEST_HISTOGRAMS.entries()) {
    const these = labelsOf(name);
    if (these !== null) exposition.histogram(counters, slot + 1 + i * HISTOGRAM_SLOTS, name, these, BUCKETS);
  }
  if (grpc) for (const [i, name] of MESSAGE_COUNTERS.entries()) counter(name, slot + MESSAGE_SLOT + i);
}
