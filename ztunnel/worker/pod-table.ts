// SPDX-License-Identifier: Apache-2.0
// The pods of one data-plane process, by their own uid and by the workload that they are.
import { describeError } from '#lib/kit/error.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { Netns } from '#lib/linux/netns.ts';
import { peerAddress } from '#lib/linux/socket.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { ConnectionInfo, PodInfo, ToMain } from '../control.ts';
import { PodListeners } from '../inpod/listeners.ts';
import { Pod, type PodOwner } from '../inpod/pod.ts';
import { DRAINED } from './ledger.ts';
import type { Runtime } from './runtime.ts';

export class PodTable implements PodOwner {
  readonly #toMain: (message: ToMain) => void;
  readonly #onEmpty: () => void;
  readonly #pods = new Map<string, Pod>();
  readonly #byWorkload = new Map<string, Pod>();

  /** `onEmpty`: nothing of a pod that was closed or drained is left. */
  constructor(toMain: (message: ToMain) => void, onEmpty: () => void) {
    this.#toMain = toMain;
    this.#onEmpty = onEmpty;
  }

  values(): Iterable<Pod> {
    return this.#pods.values();
  }

  /** Captures a pod, and tells main how that went. `fd`: its network namespace, owned from now on; undefined for our own. */
  add(runtime: Runtime, info: PodInfo, fd: number | undefined): void {
    let netns: Netns | null = null;
    let pod: Pod | null = null;
    try {
      netns = fd === undefined ? null : Netns.adopt(fd);
      const known = this.#pods.get(info.uid);
      if (known !== undefined && !known.closed) {
        if (known.netns?.id === netns?.id) {
          netns?.close();
          this.#toMain({ kind: 'pod-added', uid: info.uid });
          return;
        }
        this.delete(info.uid);
      }
      pod = new Pod(runtime, info, netns, this);
      pod.start((of) => new PodListeners(of));
      this.#pods.set(info.uid, pod);
      this.#byWorkload.set(workloadName(info), pod);
      this.#toMain({ kind: 'pod-added', uid: info.uid });
    } catch (error) {
      if (pod === null) netns?.close();
      else pod.close();
      this.#toMain({ kind: 'pod-failed', uid: info.uid, reason: describeError(error) });
    }
  }

  /** Its connections are cut at once. */
  delete(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    const name = workloadName(pod.info);
    if (this.#byWorkload.get(name) === pod) this.#byWorkload.delete(name);
    pod.close();
  }

  /** A connection for tunnels of a pod that another process has given us; false: nobody takes it. */
  takeTunnel(runtime: Runtime, uid: string, fd: number): boolean {
    if (runtime.admission.enter()) {
      const peer = new Endpoint();
      if (peerAddress(fd, peer) === 0 && this.#pods.get(uid)?.takeTunnel(fd, peer) === true) return true;
      runtime.admission.leave();
    }
    runtime.tunnels.ended();
    return false;
  }

  /** Live connections of all pods, those that are classified. */
  *connections(): Generator<ConnectionInfo> {
    for (const pod of this.#pods.values()) {
      for (const connection of pod.connections.all()) {
        const info = connection.info();
        if (info !== null) yield info;
      }
    }
  }

  drain(): void {
    for (const pod of this.#pods.values()) pod.drain();
  }

  close(): void {
    for (const pod of this.#pods.values()) pod.close(DRAINED);
  }

  /** No connection and no tunnel is open. */
  get idle(): boolean {
    for (const pod of this.#pods.values()) if (pod.connections.size > 0 || pod.sessions.size > 0) return false;
    return true;
  }

  // === PodOwner ===

  onEmpty(): void {
    this.#onEmpty();
  }

  podOf(workload: Workload): Pod | undefined {
    return this.#byWorkload.get(workloadName(workload));
  }
}

function workloadName({
  namespace,
  name,
  serviceAccount,
}: Pick<PodInfo, 'name' | 'namespace' | 'serviceAccount'>): string {
  return `${namespace}/${name}/${serviceAccount}`;
}
