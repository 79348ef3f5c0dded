// SPDX-License-Identifier: Apache-2.0
// What the node agent's messages mean: which pods are captured, which must be tried again, which the agent no longer names. Pods
// outlive the agent's restarts; only a snapshot or a deletion ends them.
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { netnsIdentity } from '#lib/linux/netns.ts';
import { duplicate } from '#lib/linux/process.ts';
import type { WorkloadRequest } from '#lib/proto/gen/zds_pb.ts';
import type { PodInfo } from '../control.ts';
import type { PodEntry } from '../pods.ts';
import type { ZdsHandler } from './zds-client.ts';

/** What the manager does with pods; `DataPlane` does it. */
export interface PodCapture {
  /** Owns `fd`; resolves with '' or why the pod could not be captured. */
  addPod(info: PodInfo, fd: number | undefined, netns: string): Promise<string>;
  removePod(uid: string): boolean;
  readonly pods: { get(uid: string): PodEntry | undefined; list(): readonly PodEntry[] };
}

export interface PodManagerOptions {
  readonly capture: PodCapture;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether the snapshot is in and nothing waits to be tried again. */
  readonly onReadiness: (ready: boolean) => void;
  readonly onFatal: (reason: string) => void;
}

const RETRY_MS = 5000;

interface Pending {
  readonly info: PodInfo;
  readonly fd: number;
  readonly netns: string;
}

export class PodManager implements ZdsHandler {
  readonly #options: PodManagerOptions;
  /** Named since the connection began; undefined once the snapshot is in. */
  #snapshot: Set<string> | undefined = new Set();
  readonly #pending = new Map<string, Pending>();
  #connected = false;
  #cancelRetry: (() => void) | undefined;

  constructor(options: PodManagerOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Uids that wait to be tried again. */
  pendingPods(): readonly PodInfo[] {
    return [...this.#pending.values()].map(({ info }) => info);
  }

  onConnected(): void {
    this.#connected = true;
    this.#snapshot = new Set();
    for (const uid of [...this.#pending.keys()]) this.#dropPending(uid);
    this.#report();
  }

  onDisconnected(): void {
    this.#connected = false;
    this.#report();
  }

  onFatal(reason: string): void {
    this.#options.onFatal(reason);
  }

  async onRequest({ payload }: WorkloadRequest, fd: number | undefined): Promise<string> {
    switch (payload.case) {
      case 'add': {
        const { uid, workloadInfo } = payload.value;
        if (workloadInfo === undefined || fd === undefined) {
          if (fd !== undefined) close(fd);
          throw new AmbitError('ZDS_PROTOCOL', `pod ${uid} was announced without its workload`);
        }
        const { name, namespace, serviceAccount } = workloadInfo;
        return this.#add({ uid, name, namespace, serviceAccount }, fd);
      }
      case 'keep':
        if (this.#snapshot === undefined) throw new AmbitError('ZDS_PROTOCOL', 'keep after the snapshot');
        this.#snapshot.add(payload.value.uid);
        return '';
      case 'del':
        this.#delete(payload.value.uid);
        return '';
      case 'snapshotSent':
        this.#reconcile();
        return '';
      case undefined:
        throw new AmbitError('ZDS_PROTOCOL', 'a request without content');
    }
  }

  close(): void {
    this.#cancelRetry?.();
    for (const uid of [...this.#pending.keys()]) this.#dropPending(uid);
  }

  async #add(info: PodInfo, fd: number): Promise<string> {
    const { capture, log } = this.#options;
    this.#snapshot?.add(info.uid);
    const netns = netnsIdentity(fd);
    if (capture.pods.get(info.uid)?.netns === netns) {
      close(fd);
      return '';
    }
    this.#dropPending(info.uid);
    // Kept for another try; the capture owns the first.
    const spare = duplicate(fd);
    const reason = await this.#try(info, fd, netns);
    if (reason === '') {
      close(spare);
      log.info('captures a pod', { pod: `${info.namespace}/${info.name}`, uid: info.uid });
      return '';
    }
    log.error('a pod cannot be captured; it will be tried again', {
      pod: `${info.namespace}/${info.name}`,
      uid: info.uid,
      reason,
    });
    this.#pending.set(info.uid, { info, fd: spare, netns });
    this.#report();
    this.#scheduleRetry();
    return `failure to start proxy : ${reason}`;
  }

  async #try(info: PodInfo, fd: number, netns: string): Promise<string> {
    try {
      return await this.#options.capture.addPod(info, fd, netns);
    } catch (error) {
      return describeError(error);
    }
  }

  #delete(uid: string): void {
    this.#dropPending(uid);
    // During the snapshot the reconciliation does it, since the pod may be named again.
    if (this.#snapshot !== undefined) this.#snapshot.delete(uid);
    else if (this.#options.capture.removePod(uid)) this.#options.log.info('no longer captures a pod', { uid });
    this.#report();
  }

  #reconcile(): void {
    const named = this.#snapshot;
    if (named === undefined) throw new AmbitError('ZDS_PROTOCOL', 'a second snapshot');
    const { capture, log } = this.#options;
    for (const { info } of capture.pods.list()) {
      if (named.has(info.uid) || info.self === true) continue;
      capture.removePod(info.uid);
      log.info('no longer captures a pod that the node agent does not name', { uid: info.uid });
    }
    this.#snapshot = undefined;
    this.#report();
  }

  #scheduleRetry(): void {
    if (this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      void this.#retry();
    });
  }

  async #retry(): Promise<void> {
    for (const [uid, { info, fd, netns }] of [...this.#pending]) {
      const reason = await this.#try(info, duplicate(fd), netns);
      if (reason !== '') this.#options.log.warn('still cannot capture a pod', { uid, reason });
      else if (this.#pending.get(uid)?.fd === fd) {
        this.#dropPending(uid);
        this.#options.log.info('captures a pod', { pod: `${info.namespace}/${info.name}`, uid });
      } else {
        // Deleted while it was being tried.
        this.#options.capture.removePod(uid);
      }
    }
    if (this.#pending.size > 0) this.#scheduleRetry();
    this.#report();
  }

  #dropPending(uid: string): void {
    const pending = this.#pending.get(uid);
    if (pending === undefined) return;
    this.#pending.delete(uid);
    close(pending.fd);
  }

  #report(): void {
    this.#options.onReadiness(this.#connected && this.#snapshot === undefined && this.#pending.size === 0);
  }
}
