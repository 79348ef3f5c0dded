// SPDX-License-Identifier: Apache-2.0
// The main process's view of its data-plane processes: tells them settings, pods, certificates and commits of the mesh, and hears
// what they want. A process that is started, first or again, is told everything before anything else.

import type { WorkloadCertificate } from '#lib/identity/certificate.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import type { FdWatch } from '#lib/loop/fd-watch.ts';
import type { LineKind } from '#lib/loop/shared/log-ring.ts';
import { type WorkerEnd, type WorkerProcess, Workers, type WorkersHandler } from '#lib/loop/workers.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { WORKER_ENV, WORKER_FLAGS } from '#lib/proxy/worker/flags.ts';
import type { ConnectionInfo, PodInfo, RecentConnection, ToMain, ToWorker, WorkerSettings } from './control.ts';
import { Pods } from './pods.ts';

export interface DataPlaneOptions {
  readonly count: number;
  /** Script of the data-plane processes. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly settings: WorkerSettings;
  readonly drainMs: number;
  readonly storeFd: number;
  readonly watch: FdWatch;
  readonly log: Logger;
  readonly exposition: Exposition;
  /** Names of the flight recorder's entries. */
  readonly eventNames?: Readonly<Record<number, string>>;
  /** A connection waits for a certificate. */
  readonly certificate: (identity: string) => Promise<WorkloadCertificate>;
  /** Certificates there are, for a process that starts. */
  readonly certificates: () => readonly WorkloadCertificate[];
  readonly meshVersion: () => number;
  /** A connection waits for `network/ip` or `namespace/hostname`. */
  readonly onWanted: (name: string) => void;
  readonly onLine: (kind: LineKind, line: string) => void;
}

const LIST_TIMEOUT_MS = 2000;
/** A set of labels takes four or more; pages are taken when they are first counted in. */
const COUNTER_SLOTS = 65_536;
/** Lines of a busy second, between two looks of a busy main process. */
const LOG_BYTES = 4 << 20;

interface Listing {
  readonly found: unknown[];
  readonly open: Set<number>;
  readonly done: PromiseWithResolvers<void>;
}

export class DataPlane implements WorkersHandler {
  readonly pods = new Pods();
  restarts = 0;
  readonly #options: DataPlaneOptions;
  readonly #workers: Workers;
  readonly #ready = new Set<number>();
  readonly #drained = new Set<number>();
  readonly #listings = new Map<number, Listing>();
  readonly #allReady = Promise.withResolvers<void>();
  #accessLog: WorkerSettings['accessLog'];
  #revocations: readonly string[] = [];
  #requests = 0;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#accessLog = options.settings.accessLog;
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
      ...(options.eventNames === undefined ? {} : { eventNames: options.eventNames }),
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

  /** Captures a pod; resolves with '' when it is up or with the reason why not (then it is not captured). Owns `fd` from now on. */
  async addPod(info: PodInfo, fd: number | undefined, netns: string): Promise<string> {
    const known = this.pods.get(info.uid);
    if (known !== undefined) this.removePod(info.uid);
    const answer = this.pods.add({ info, fd, netns }, this.#indexes());
    this.#broadcast({ kind: 'pod-add', pod: info }, fd === undefined ? [] : [fd]);
    const reason = await answer;
    if (reason !== '' && this.pods.get(info.uid)?.netns === netns) this.removePod(info.uid);
    return reason;
  }

  /** Ends a pod's capture: its connections are dropped at once, its namespace is let go. */
  removePod(uid: string): boolean {
    const entry = this.pods.remove(uid);
    if (entry === undefined) return false;
    this.#broadcast({ kind: 'pod-delete', uid });
    if (entry.fd !== undefined) close(entry.fd);
    return true;
  }

  /** A certificate is new: connections from now on use it, those that are open keep theirs. */
  giveCertificate(certificate: WorkloadCertificate): void {
    this.#broadcast(identityMessage(certificate));
  }

  /** No workload of that identity is left on this node. */
  forgetCertificate(identity: string): void {
    this.#broadcast({ kind: 'identity-gone', identity });
  }

  /** All revocation lists there are, in DER. */
  setRevocations(lists: readonly Uint8Array[]): void {
    this.#revocations = lists.map((der) => Buffer.from(der).toString('base64'));
    this.#broadcast({ kind: 'revocations', lists: this.#revocations });
  }

  certificateFailed(identity: string, reason: string): void {
    this.#broadcast({ kind: 'identity-failed', identity, reason });
  }

  meshChanged(version: number, policies: boolean): void {
    this.#broadcast({ kind: 'mesh', version, policies });
  }

  /** The control plane has nothing by a name that was wanted. */
  absent(name: string): void {
    this.#broadcast({ kind: 'absent', name });
  }

  setAccessLog(accessLog: Omit<WorkerSettings['accessLog'], 'format'>): void {
    this.#accessLog = { ...this.#accessLog, ...accessLog };
    const { enabled, opened, dns } = accessLog;
    this.#broadcast({ kind: 'access-log', enabled, opened, dns });
  }

  /** Live connections of all processes; those of a process that does not answer in time are left out. */
  async connections(): Promise<readonly ConnectionInfo[]> {
    return (await this.#ask('list-connections')) as ConnectionInfo[];
  }

  /** Connections of all processes that ended last, newest first, with the proofs that were kept. */
  async recent(): Promise<readonly RecentConnection[]> {
    const found = (await this.#ask('list-recent')) as RecentConnection[];
    return found.sort((a, b) => (a.ended < b.ended ? 1 : -1));
  }

  /** A CPU profile of one process; undefined when there is none by that index, or it dies meanwhile. */
  async profile(index: number, seconds: number, frequency: number): Promise<string | undefined> {
    const worker = this.#workers.list().find((one) => one.index === index);
    if (worker === undefined) return undefined;
    const found = await this.#collect([index], seconds * 1000 + LIST_TIMEOUT_MS, (request) =>
      this.#tell(worker, { kind: 'profile', request, ms: seconds * 1000, frequency }),
    );
    return found[0] as string | undefined;
  }

  #ask(kind: 'list-connections' | 'list-recent'): Promise<unknown[]> {
    return this.#collect(this.#indexes(), LIST_TIMEOUT_MS, (request) => this.#broadcast({ kind, request }));
  }

  /** What the processes by those indexes answer to a request, as far as they do in time. */
  async #collect(from: readonly number[], timeoutMs: number, ask: (request: number) => void): Promise<unknown[]> {
    const request = ++this.#requests;
    const listing: Listing = { found: [], open: new Set(from), done: Promise.withResolvers() };
    if (listing.open.size === 0) return [];
    this.#listings.set(request, listing);
    ask(request);
    const timer = setTimeout(() => listing.done.resolve(), timeoutMs);
    await listing.done.promise;
    clearTimeout(timer);
    this.#listings.delete(request);
    return listing.found;
  }

  /** Ends everything: gracefully within `deadlineMs`, or at once. Resolves when all processes are gone. */
  async stop(mode: 'graceful' | 'immediate', deadlineMs: number): Promise<void> {
    this.#broadcast({ kind: 'drain', mode, deadlineMs });
    await this.#workers.stop(deadlineMs + 2000);
    for (const { info } of this.pods.list()) this.removePod(info.uid);
  }

  // === WorkersHandler ===

  onStart(worker: WorkerProcess): void {
    this.#tell(worker, { kind: 'settings', settings: { ...this.#options.settings, accessLog: this.#accessLog } });
    if (this.#revocations.length > 0) this.#tell(worker, { kind: 'revocations', lists: this.#revocations });
    for (const certificate of this.#options.certificates()) this.#tell(worker, identityMessage(certificate));
    this.#tell(worker, { kind: 'mesh', version: this.#options.meshVersion(), policies: true });
    for (const { info, fd } of this.pods.list()) {
      this.#tell(worker, { kind: 'pod-add', pod: info }, fd === undefined ? [] : [fd]);
    }
  }

  onMessage(worker: WorkerProcess, bytes: Uint8Array, fds: number[]): void {
    for (const fd of fds) close(fd);
    const message = decodeJson(bytes) as ToMain;
    const { index } = worker;
    switch (message.kind) {
      case 'ready':
        this.#ready.add(index);
        if (this.#ready.size === this.#options.count) this.#allReady.resolve();
        break;
      case 'pod-added':
        this.pods.answered(message.uid, index, '', this.#indexes());
        break;
      case 'pod-failed':
        this.pods.answered(message.uid, index, message.reason, this.#indexes());
        break;
      case 'pod-deleted':
        break;
      case 'identity-wanted':
        void this.#wanted(worker, message.identity);
        break;
      case 'wanted':
        this.#options.onWanted(message.name);
        break;
      case 'series':
        this.#options.exposition.slot(worker.counters, message.slot, message.name, message.labels);
        break;
      case 'connections':
        this.#listed(index, message.request, message.list, message.last);
        break;
      case 'recent':
        this.#listed(index, message.request, message.list, true);
        break;
      case 'profile':
        this.#listed(index, message.request, [message.profile], true);
        break;
      case 'drained':
        this.#drained.add(index);
        break;
    }
  }

  onLine(_worker: WorkerProcess, kind: LineKind, line: string): void {
    this.#options.onLine(kind, line);
  }

  onEnd(worker: WorkerProcess, end: WorkerEnd): void {
    const { index, counters } = worker;
    this.#options.exposition.retire(counters);
    if (!end.expected) this.restarts++;
    this.#ready.delete(index);
    this.pods.processGone(index);
    this.pods.check(this.#indexes());
    for (const listing of this.#listings.values()) finish(listing, index);
  }

  async #wanted(worker: WorkerProcess, identity: string): Promise<void> {
    try {
      // A new one reaches all processes by giveCertificate; this one may only have missed it.
      this.#tell(worker, identityMessage(await this.#options.certificate(identity)));
    } catch (error) {
      this.#tell(worker, { kind: 'identity-failed', identity, reason: describeError(error) });
    }
  }

  #listed(index: number, request: number, list: readonly unknown[], last: boolean): void {
    const listing = this.#listings.get(request);
    if (listing === undefined) return;
    listing.found.push(...list);
    if (last) finish(listing, index);
  }

  #indexes(): number[] {
    return this.#workers.list().map(({ index }) => index);
  }

  #tell(worker: WorkerProcess, message: ToWorker, fds: readonly number[] = []): void {
    worker.sendJson(message, fds);
  }

  #broadcast(message: ToWorker, fds: readonly number[] = []): void {
    this.#workers.broadcastJson(message, fds);
  }
}

function finish(listing: Listing, index: number): void {
  listing.open.delete(index);
  if (listing.open.size === 0) listing.done.resolve();
}

function identityMessage({ identity, chainPem, keyPem, rootsPem }: WorkloadCertificate): ToWorker {
  return { kind: 'identity', identity, chain: chainPem, key: keyPem, roots: rootsPem };
}
