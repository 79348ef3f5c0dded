// SPDX-License-Identifier: Apache-2.0
// The main process's view of its data-plane processes: starts and watches them, gives them certificates, reads their metrics and
// lines. What else a program tells its processes and hears from them is the program's; a process that is started, first or again,
// is told everything before anything else.
import type { WorkloadCertificate } from '#lib/identity/certificate.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { LoadShare } from '#lib/loop/shared/load-share.ts';
import type { LineKind } from '#lib/loop/shared/log-ring.ts';
import { type WorkerEnd, type WorkerProcess, Workers, type WorkersHandler } from '#lib/loop/workers.ts';
import {
  type CommonToMain,
  type CommonToWorker,
  type HeldAddress,
  type IdentityMessage,
  SHARE_MEMORY,
  STORE_MEMORY,
  type TrustMessage,
} from './control.ts';
import type { CertificateListener, Certificates } from './identity/certificates.ts';
import type { Exposition } from './telemetry/exposition.ts';
import { WORKER_ENV } from './worker/flags.ts';

/** What a program adds: messages of its own, `In` towards the processes and `Out` from them. */
export interface PoolProgram<Out extends { readonly kind: string }> {
  /** A process was started: tell it settings and what else it must know, first of all. */
  onStart(worker: WorkerProcess): void;
  onMessage(worker: WorkerProcess, message: Exclude<Out, CommonToMain>): void;
  /** A process is gone; another takes its place unless all of them end. */
  onGone(worker: WorkerProcess): void;
}

/** What both programs give alike. */
export interface PoolParts {
  readonly count: number;
  readonly env: Readonly<Record<string, string>>;
  readonly drainMs: number;
  readonly storeFd: number;
  readonly log: Logger;
  readonly exposition: Exposition;
  readonly certificates: Certificates;
  readonly onLine: (kind: LineKind, line: Buffer) => void;
}

export interface PoolOptions<Out extends { readonly kind: string }> extends PoolParts {
  /** Script of the data-plane processes. */
  readonly script: string;
  /** Flags for Node. */
  readonly flags: readonly string[];
  readonly counterSlots: number;
  readonly program: PoolProgram<Out>;
}

type TunnelGiven = Extract<CommonToMain, { kind: 'tunnel-given' }>;

/** Lines of a busy second, between two looks of a busy main process. */
const LOG_BYTES = 4 << 20;

export class WorkerPool<In extends { readonly kind: string }, Out extends { readonly kind: string }>
  implements WorkersHandler, CertificateListener
{
  /** Processes that ended by themselves so far. */
  restarts = 0;
  /** Descriptors that the main process waits for beside its event loop's own. */
  readonly watch = new FdWatch();
  readonly #options: PoolOptions<Out>;
  readonly #workers: Workers;
  readonly #tunnels: LoadShare;
  readonly #ready = new Set<number>();
  readonly #held = new Map<number, readonly HeldAddress[]>();
  readonly #allReady = Promise.withResolvers<void>();
  #revocations: TrustMessage = { kind: 'revocations', lists: [] };

  constructor(options: PoolOptions<Out>) {
    this.#options = options;
    const { count, counterSlots, drainMs, env, flags, log, script, storeFd } = options;
    this.#tunnels = LoadShare.create(count);
    this.#workers = new Workers({
      ...{ count, script, log, drainMs, counterSlots, execArgv: flags, watch: this.watch },
      env: { ...WORKER_ENV, ...env },
      memory: { [STORE_MEMORY]: storeFd, [SHARE_MEMORY]: this.#tunnels.fd },
      logBytes: LOG_BYTES,
      handler: this,
    });
    options.certificates.tell(this);
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

  indexes(): number[] {
    return this.#workers.list().map(({ index }) => index);
  }

  /** Whose connections wait at the doors of processes, as these said within the last second or two. */
  held(): (HeldAddress & { readonly process: number })[] {
    return [...this.#held].flatMap(([process, list]) => list.map((one) => ({ ...one, process })));
  }

  tell(worker: WorkerProcess, message: In, fds: readonly number[] = []): void {
    worker.sendJson(message, fds);
  }

  broadcast(message: In, fds: readonly number[] = []): void {
    this.#workers.broadcastJson(message, fds);
  }

  /** Every certificate there is, and those that hold no more, for a process that starts. */
  tellTrust(worker: WorkerProcess): void {
    worker.sendJson(this.#revocations);
    for (const certificate of this.#options.certificates.available()) worker.sendJson(identityMessage(certificate));
  }

  /** All revocation lists there are, in DER. */
  setRevocations(lists: readonly Uint8Array[]): void {
    this.#revocations = { kind: 'revocations', lists: lists.map((der) => Buffer.from(der).toString('base64')) };
    this.#workers.broadcastJson(this.#revocations);
  }

  /** A certificate is new: connections from now on use it, those that are open keep theirs. */
  onCertificate(certificate: WorkloadCertificate): void {
    this.#workers.broadcastJson(identityMessage(certificate));
  }

  onNoCertificate(identity: string, reason: string): void {
    this.#workers.broadcastJson({ kind: 'identity-failed', identity, reason } satisfies TrustMessage);
  }

  /** Tells all processes by `drain` to end within `deadlineMs`; resolves when they are gone. */
  async stop(drain: In, deadlineMs: number): Promise<void> {
    // Before anybody drains: none shall give a tunnel to one who takes no more.
    for (const index of this.indexes()) this.#tunnels.close(index);
    this.broadcast(drain);
    await this.#workers.stop(deadlineMs + 2000);
  }

  // === WorkersHandler ===

  onStart(worker: WorkerProcess): void {
    this.#options.program.onStart(worker);
  }

  onMessage(worker: WorkerProcess, bytes: Uint8Array, fds: number[]): void {
    try {
      const message = decodeJson(bytes) as CommonToMain | Exclude<Out, CommonToMain>;
      if (isCommon(message)) this.#onCommon(worker, message, fds);
      else this.#options.program.onMessage(worker, message);
    } finally {
      for (const fd of fds) close(fd);
    }
  }

  onLine(_worker: WorkerProcess, kind: LineKind, line: Buffer): void {
    this.#options.onLine(kind, line);
  }

  onEnd(worker: WorkerProcess, end: WorkerEnd): void {
    this.#options.exposition.retire(worker.counters);
    if (!end.expected) this.restarts++;
    this.#ready.delete(worker.index);
    this.#held.delete(worker.index);
    this.#tunnels.close(worker.index);
    this.#options.program.onGone(worker);
  }

  #onCommon(worker: WorkerProcess, message: CommonToMain, fds: readonly number[]): void {
    switch (message.kind) {
      case 'ready':
        this.#ready.add(worker.index);
        if (this.#ready.size === this.#options.count) this.#allReady.resolve();
        break;
      case 'identity-wanted':
        void this.#wanted(worker, message.identity);
        break;
      case 'series':
        this.#options.exposition.slot(worker.counters, message.slot, message.name, message.labels);
        break;
      case 'series-gone': {
        const { runs } = message;
        for (const [first, count] of runs) this.#options.exposition.forget(worker.counters, first, count);
        worker.sendJson({ kind: 'slots-free', runs } satisfies CommonToWorker<never>);
        break;
      }
      case 'tunnel-given':
        this.#passOn(worker, message, fds);
        break;
      case 'held':
        this.#held.set(worker.index, message.list);
        break;
      case 'drained':
        break;
    }
  }

  /** What nobody is there for any more goes back to whom it came to. */
  #passOn(from: WorkerProcess, { door, to }: TunnelGiven, fds: readonly number[]): void {
    const taker = this.processes().find(({ index }) => index === to);
    if (taker === undefined) this.#tunnels.add(from.index, 1);
    (taker ?? from).sendJson({ kind: 'tunnel', door } satisfies CommonToWorker<never>, fds);
  }

  async #wanted(worker: WorkerProcess, identity: string): Promise<void> {
    try {
      // A new one reaches all processes by onCertificate; this one may only have missed it.
      worker.sendJson(identityMessage(await this.#options.certificates.get(identity)));
    } catch (error) {
      const failed: TrustMessage = { kind: 'identity-failed', identity, reason: describeError(error) };
      worker.sendJson(failed);
    }
  }
}

const COMMON: ReadonlySet<string> = new Set<CommonToMain['kind']>([
  'ready',
  'identity-wanted',
  'series',
  'series-gone',
  'tunnel-given',
  'held',
  'drained',
]);

function isCommon(message: { readonly kind: string }): message is CommonToMain {
  return COMMON.has(message.kind);
}

function identityMessage({ identity, chainPem, keyPem, rootsPem }: WorkloadCertificate): IdentityMessage {
  return { kind: 'identity', identity, chain: chainPem, key: keyPem, roots: rootsPem };
}
