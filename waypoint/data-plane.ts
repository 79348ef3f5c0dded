// SPDX-License-Identifier: Apache-2.0
// The main process's view of its data-plane processes: tells them settings, certificates and commits of the store. A process that
// is started, first or again, is told everything before anything else.
import type { WorkloadCertificate } from '#lib/identity/certificate.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import type { FdWatch } from '#lib/loop/fd-watch.ts';
import type { LineKind } from '#lib/loop/shared/log-ring.ts';
import { type WorkerEnd, type WorkerProcess, Workers, type WorkersHandler } from '#lib/loop/workers.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { WORKER_ENV } from '#lib/proxy/worker/flags.ts';
import type { ToMain, ToWorker, WorkerSettings } from './control.ts';
import { BUCKETS, HISTOGRAM_SLOTS, REQUEST_COUNTER, REQUEST_HISTOGRAMS } from './telemetry/request-slots.ts';
import { WORKER_FLAGS } from './worker/flags.ts';

export interface DataPlaneOptions {
  readonly count: number;
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly settings: WorkerSettings;
  readonly drainMs: number;
  readonly storeFd: number;
  readonly watch: FdWatch;
  readonly log: Logger;
  readonly exposition: Exposition;
  readonly certificate: (identity: string) => Promise<WorkloadCertificate>;
  /** Certificates there are, for a process that starts. */
  readonly certificates: () => readonly WorkloadCertificate[];
  readonly storeVersion: () => number;
  readonly onLine: (kind: LineKind, line: string) => void;
  /** A process opened a listener. */
  readonly onListening: (listener: string, port: number) => void;
}

/** A set of labels takes 64; pages are taken when they are first counted in. */
const COUNTER_SLOTS = 1 << 20;
const LOG_BYTES = 4 << 20;

export class DataPlane implements WorkersHandler {
  restarts = 0;
  readonly #options: DataPlaneOptions;
  readonly #workers: Workers;
  readonly #ready = new Set<number>();
  readonly #allReady = Promise.withResolvers<void>();

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#workers = new Workers({
      count: options.count,
      script: options.script,
      execArgv: WORKER_FLAGS,
      env: { ...WORKER_ENV, ...options.env },
      log: options.log,
      watch: options.watch,
      memory: { store: options.storeFd },
      drainMs: options.drainMs,
      counterSlots: COUNTER_SLOTS,
      logBytes: LOG_BYTES,
      handler: this,
    });
  }

  start(): void {
    this.#workers.start();
  }

  /** Resolves when every process has once said that it is ready. */
  whenReady(): Promise<void> {
    return this.#allReady.promise;
  }

  processes(): readonly WorkerProcess[] {
    return this.#workers.list();
  }

  giveCertificate(certificate: WorkloadCertificate): void {
    this.#broadcast(identityMessage(certificate));
  }

  certificateFailed(identity: string, reason: string): void {
    this.#broadcast({ kind: 'identity-failed', identity, reason });
  }

  configChanged(version: number): void {
    this.#broadcast({ kind: 'config', version });
  }

  /** Ends everything in good order within `deadlineMs`. Resolves when all processes are gone. */
  async stop(deadlineMs: number): Promise<void> {
    this.#broadcast({ kind: 'drain', deadlineMs });
    await this.#workers.stop(deadlineMs + 2000);
  }

  // === WorkersHandler ===

  onStart(worker: WorkerProcess): void {
    worker.sendJson({ kind: 'settings', settings: this.#options.settings } satisfies ToWorker);
    for (const certificate of this.#options.certificates()) worker.sendJson(identityMessage(certificate));
    worker.sendJson({ kind: 'config', version: this.#options.storeVersion() } satisfies ToWorker);
  }

  onMessage(worker: WorkerProcess, bytes: Uint8Array, fds: number[]): void {
    for (const fd of fds) close(fd);
    const message = decodeJson(bytes) as ToMain;
    const { exposition } = this.#options;
    switch (message.kind) {
      case 'ready':
        this.#ready.add(worker.index);
        if (this.#ready.size === this.#options.count) this.#allReady.resolve();
        break;
      case 'identity-wanted':
        void this.#wanted(worker, message.identity);
        break;
      case 'series':
        exposition.slot(worker.counters, message.slot, message.name, message.labels);
        break;
      case 'request-series': {
        const { labels, slot } = message;
        exposition.slot(worker.counters, slot, REQUEST_COUNTER, labels);
        for (const [i, name] of REQUEST_HISTOGRAMS.entries())
          exposition.histogram(worker.counters, slot + 1 + i * HISTOGRAM_SLOTS, name, labels, BUCKETS);
        break;
      }
      case 'listening':
        this.#options.onListening(message.listener, message.port);
        break;
      case 'drained':
        break;
    }
  }

  onLine(_worker: WorkerProcess, kind: LineKind, line: string): void {
    this.#options.onLine(kind, line);
  }

  onEnd(worker: WorkerProcess, end: WorkerEnd): void {
    this.#options.exposition.retire(worker.counters);
    if (!end.expected) this.restarts++;
    this.#ready.delete(worker.index);
  }

  async #wanted(worker: WorkerProcess, identity: string): Promise<void> {
    try {
      worker.sendJson(identityMessage(await this.#options.certificate(identity)));
    } catch (error) {
      worker.sendJson({ kind: 'identity-failed', identity, reason: describeError(error) } satisfies ToWorker);
    }
  }

  #broadcast(message: ToWorker): void {
    this.#workers.broadcastJson(message);
  }
}

function identityMessage({ chainPem, identity, keyPem, rootsPem }: WorkloadCertificate): ToWorker {
  return { kind: 'identity', identity, chain: chainPem, key: keyPem, roots: rootsPem };
}
