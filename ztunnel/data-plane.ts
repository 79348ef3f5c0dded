// SPDX-License-Identifier: Apache-2.0
// What ztunnel's main process tells its data-plane processes and hears from them: settings, pods, commits of the mesh, revocations,
// and questions about connections.
import { join } from 'node:path';
import { close } from '#lib/linux/calls.ts';
import type { WorkerProcess } from '#lib/loop/workers.ts';
import type { CommonToMain } from '#lib/proxy/control.ts';
import { WORKER_FLAGS } from '#lib/proxy/worker/flags.ts';
import { type PoolParts, type PoolProgram, WorkerPool } from '#lib/proxy/worker-pool.ts';
import type { ConnectionInfo, PodInfo, RecentConnection, ToMain, ToWorker, WorkerSettings } from './control.ts';
import { Pods } from './pods.ts';
import { Questions } from './questions.ts';

export interface DataPlaneOptions extends PoolParts {
  readonly settings: WorkerSettings;
  readonly meshVersion: () => number;
  /** A connection waits for `network/ip` or `namespace/hostname`. */
  readonly onWanted: (name: string) => void;
}

/** A live connection, with namespace/name of the pod that it was captured for. */
export type LiveConnection = ConnectionInfo & { readonly workload: string };

const SCRIPT = join(import.meta.dirname, 'worker/main.ts');
const ANSWER_MS = 2000;
/** A set of labels takes four or more; pages are taken when they are first counted in. */
const COUNTER_SLOTS = 65_536;

export class DataPlane implements PoolProgram<ToMain> {
  readonly pods = new Pods();
  readonly pool: WorkerPool<ToWorker, ToMain>;
  readonly #options: DataPlaneOptions;
  readonly #questions = new Questions();
  #accessLog: WorkerSettings['accessLog'];

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#accessLog = options.settings.accessLog;
    const own = { script: SCRIPT, flags: WORKER_FLAGS, counterSlots: COUNTER_SLOTS, program: this };
    this.pool = new WorkerPool({ ...options, ...own });
  }

  /** Captures a pod; resolves with '' when it is up or with the reason why not (then it is not captured). Owns `fd` from now on. */
  async addPod(info: PodInfo, fd: number | undefined, netns: string): Promise<string> {
    const known = this.pods.get(info.uid);
    if (known !== undefined) this.removePod(info.uid);
    const answer = this.pods.add({ info, fd, netns }, this.pool.indexes());
    this.pool.broadcast({ kind: 'pod-add', pod: info }, fd === undefined ? [] : [fd]);
    const reason = await answer;
    if (reason !== '' && this.pods.get(info.uid)?.netns === netns) this.removePod(info.uid);
    return reason;
  }

  /** Ends a pod's capture: its connections are dropped at once, its namespace is let go. */
  removePod(uid: string): boolean {
    const entry = this.pods.remove(uid);
    if (entry === undefined) return false;
    this.pool.broadcast({ kind: 'pod-delete', uid });
    if (entry.fd !== undefined) close(entry.fd);
    return true;
  }

  /** Whether every process that lives has the pod up. */
  isUp(uid: string): boolean {
    return this.pods.isUp(uid, this.pool.indexes());
  }

  /** No workload of that identity is left on this node. */
  forgetCertificate(identity: string): void {
    this.pool.broadcast({ kind: 'identity-gone', identity });
  }

  meshChanged(version: number, policies: boolean): void {
    this.pool.broadcast({ kind: 'mesh', version, policies });
  }

  /** The control plane has nothing by a name that was wanted. */
  absent(name: string): void {
    this.pool.broadcast({ kind: 'absent', name });
  }

  setAccessLog(accessLog: Omit<WorkerSettings['accessLog'], 'format'>): void {
    this.#accessLog = { ...this.#accessLog, ...accessLog };
    const { enabled, opened, dns } = accessLog;
    this.pool.broadcast({ kind: 'access-log', enabled, opened, dns });
  }

  /** Live connections of all processes; those of a process that does not answer in time are left out. */
  async connections(): Promise<readonly LiveConnection[]> {
    const found = (await this.#ask('list-connections')) as ConnectionInfo[];
    return found.map((one) => {
      const info = this.pods.get(one.pod)?.info;
      return { ...one, workload: info === undefined ? one.pod : `${info.namespace}/${info.name}` };
    });
  }

  /** Connections of all processes that ended last, newest first, with the proofs that were kept. */
  async recent(): Promise<readonly RecentConnection[]> {
    const found = (await this.#ask('list-recent')) as RecentConnection[];
    return found.sort((a, b) => (a.ended < b.ended ? 1 : -1));
  }

  /** A CPU profile of one process; undefined when there is none by that index, or it dies meanwhile. */
  async profile(index: number, seconds: number, frequency: number): Promise<string | undefined> {
    const worker = this.pool.processes().find((one) => one.index === index);
    if (worker === undefined) return undefined;
    const ms = seconds * 1000;
    const found = await this.#questions.ask([index], ms + ANSWER_MS, (request) =>
      this.pool.tell(worker, { kind: 'profile', request, ms, frequency }),
    );
    return found[0] as string | undefined;
  }

  /** Ends everything gracefully within `deadlineMs`. Resolves when all processes are gone. */
  async stop(deadlineMs: number): Promise<void> {
    await this.pool.stop({ kind: 'drain', mode: 'graceful', deadlineMs }, deadlineMs);
    for (const { info } of this.pods.list()) this.removePod(info.uid);
  }

  // === PoolProgram ===

  onStart(worker: WorkerProcess): void {
    const { pool } = this;
    pool.tell(worker, { kind: 'settings', settings: { ...this.#options.settings, accessLog: this.#accessLog } });
    pool.tellTrust(worker);
    pool.tell(worker, { kind: 'mesh', version: this.#options.meshVersion(), policies: true });
    for (const { info, fd } of this.pods.list()) {
      pool.tell(worker, { kind: 'pod-add', pod: info }, fd === undefined ? [] : [fd]);
    }
  }

  onMessage(worker: WorkerProcess, message: Exclude<ToMain, CommonToMain>): void {
    const { index } = worker;
    switch (message.kind) {
      case 'pod-added':
        this.pods.answered(message.uid, index, '', this.pool.indexes());
        break;
      case 'pod-failed':
        this.pods.answered(message.uid, index, message.reason, this.pool.indexes());
        break;
      case 'pod-deleted':
        break;
      case 'wanted':
        this.#options.onWanted(message.name);
        break;
      case 'connections':
        this.#questions.answered(index, message.request, message.list, message.last);
        break;
      case 'recent':
        this.#questions.answered(index, message.request, message.list, true);
        break;
      case 'profile':
        this.#questions.answered(index, message.request, [message.profile], true);
        break;
    }
  }

  onGone({ index }: WorkerProcess): void {
    this.pods.processGone(index);
    this.pods.check(this.pool.indexes());
    this.#questions.gone(index);
  }

  #ask(kind: 'list-connections' | 'list-recent'): Promise<unknown[]> {
    return this.#questions.ask(this.pool.indexes(), ANSWER_MS, (request) => this.pool.broadcast({ kind, request }));
  }
}
