// SPDX-License-Identifier: Apache-2.0
// The pods whose traffic is captured, as the main process keeps them: who they are, their namespaces, and what each data-plane
// process said of them. A pod is up when every process that lives has opened its listeners.
import type { PodInfo } from './control.ts';

export interface PodEntry {
  readonly info: PodInfo;
  /** Descriptor of the network namespace, ours to close; undefined for the own namespace. */
  readonly fd: number | undefined;
  /** "device:inode" of the namespace. */
  readonly netns: string;
  /** Answers of processes by their index: '' is up, else the reason of failure. */
  readonly answers: Map<number, string>;
}

export class Pods {
  readonly #entries = new Map<string, PodEntry>();
  readonly #waiting = new Map<string, PromiseWithResolvers<string>>();
  started = 0;
  stopped = 0;

  get(uid: string): PodEntry | undefined {
    return this.#entries.get(uid);
  }

  list(): readonly PodEntry[] {
    return [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Notes a pod; the promise resolves with '' when `processes` of them have it up, or with the first reason of failure. */
  add(entry: Omit<PodEntry, 'answers'>, processes: readonly number[]): Promise<string> {
    const { uid } = entry.info;
    this.#settle(uid, 'replaced by another namespace');
    this.#entries.set(uid, { ...entry, answers: new Map() });
    this.started++;
    const waiter = Promise.withResolvers<string>();
    this.#waiting.set(uid, waiter);
    this.check(processes);
    return waiter.promise;
  }

  /** Forgets a pod; its descriptor is the caller's to close. */
  remove(uid: string): PodEntry | undefined {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return undefined;
    this.#entries.delete(uid);
    this.stopped++;
    this.#settle(uid, 'deleted');
    return entry;
  }

  /** A process said how it went. */
  answered(uid: string, process: number, reason: string, processes: readonly number[]): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.answers.set(process, reason);
    if (reason !== '') this.#settle(uid, reason);
    else this.check(processes);
  }

  /** A process is gone, and what it said with it. */
  processGone(process: number): void {
    for (const { answers } of this.#entries.values()) answers.delete(process);
  }

  /** Settles those that all of `processes` have up. */
  check(processes: readonly number[]): void {
    for (const uid of [...this.#waiting.keys()]) if (this.isUp(uid, processes)) this.#settle(uid, '');
  }

  isUp(uid: string, processes: readonly number[]): boolean {
    const answers = this.#entries.get(uid)?.answers;
    return answers !== undefined && processes.length > 0 && processes.every((index) => answers.get(index) === '');
  }

  #settle(uid: string, reason: string): void {
    const waiter = this.#waiting.get(uid);
    this.#waiting.delete(uid);
    waiter?.resolve(reason);
  }
}
