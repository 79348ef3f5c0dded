// SPDX-License-Identifier: Apache-2.0
// The kubelet's centre: pods assigned to this node, as the API server tells, each to a worker; and what the workers say,
// back to the API server as pod status.
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { Informer } from '#lib/kube/informer.ts';
import { POD, type PodObject, podName } from './pod.ts';
import { type NodeRuntime, PodRuntime } from './pod-runtime.ts';
import { PodWorker } from './pod-worker.ts';

/** Volumes that follow the API are looked at this often, beside when a source changes. */
const REFRESH_MS = 10_000;
/** Changes of one pod within this time are told as one. */
const GATHER_MS = 20;
const RETRY_MS = 500;

export interface KubeletOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly node: NodeRuntime;
}

interface Entry {
  readonly worker: PodWorker;
  readonly runtime: PodRuntime;
  /** The status last accepted by the API server, as text. */
  told: string;
  sync: 'idle' | 'due' | 'busy';
  deleting: boolean;
}

export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #pods: Informer<PodObject>;
  readonly #entries = new Map<string, Entry>();
  readonly #stop = new AbortController();

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { client, clock, log, random, node } = options;
    this.#pods = new Informer({
      client,
      kind: POD,
      clock,
      random,
      log: log.child('pods'),
      selection: { fieldSelector: `spec.nodeName=${node.nodeName}` },
    });
  }

  start(): void {
    this.#pods.subscribe((changes) => {
      for (const change of changes) {
        const { old } = change;
        const gone = change.op === 'delete' || old?.metadata.uid !== change.object.metadata.uid;
        if (old !== undefined && gone) this.#removed(old);
        if (change.op === 'set') this.#seen(change.object);
      }
    });
    this.#pods.start();
    void this.#refreshForever();
  }

  /** Ends every pod with at most `graceSeconds` each; used when the node is shut down in order. */
  async stop(graceSeconds: number): Promise<void> {
    this.#stop.abort();
    this.#pods.stop();
    await Promise.all([...this.#entries.values()].map(({ worker }) => worker.end(graceSeconds)));
  }

  /** The worker and runtime of a pod by namespace and name, for logs and exec. */
  find(namespace: string, name: string): { worker: PodWorker; runtime: PodRuntime } | undefined {
    for (const entry of this.#entries.values()) {
      const { metadata } = entry.worker.pod;
      if (metadata.name === name && metadata.namespace === namespace) return entry;
    }
    return undefined;
  }

  pods(): PodObject[] {
    return [...this.#entries.values()].map(({ worker }) => worker.pod);
  }

  /** Looks at the volumes of all pods again, e.g. since a config map changed. */
  refresh(): void {
    for (const { worker } of this.#entries.values()) {
      worker
        .refresh()
        .catch((error: unknown) =>
          this.#options.log.warn('volume not refreshed', { pod: podName(worker.pod), error: describeError(error) }),
        );
    }
  }

  #seen(pod: PodObject): void {
    const uid = pod.metadata.uid!;
    let entry = this.#entries.get(uid);
    if (entry === undefined) {
      if (isOver(pod)) {
        if (pod.metadata.deletionTimestamp !== undefined) void this.#removeObject(pod);
        return;
      }
      entry = this.#adopt(pod);
    } else entry.worker.update(pod);
    if (pod.metadata.deletionTimestamp !== undefined && !entry.deleting) void this.#delete(entry, pod);
  }

  #adopt(pod: PodObject): Entry {
    const runtime = new PodRuntime(pod, this.#options.node);
    const worker = new PodWorker(runtime, () => this.#due(entry));
    const entry: Entry = { worker, runtime, told: '', sync: 'idle', deleting: false };
    this.#entries.set(worker.uid, entry);
    this.#options.log.info('pod assigned', { pod: podName(pod), uid: worker.uid });
    worker.start();
    this.#due(entry);
    return entry;
  }

  async #delete(entry: Entry, pod: PodObject): Promise<void> {
    entry.deleting = true;
    await entry.worker.end(pod.metadata.deletionGracePeriodSeconds);
    await this.#tell(entry);
    await this.#removeObject(pod);
  }

  /** The object is gone: removed by us after an orderly end, or by force. */
  #removed(pod: PodObject): void {
    const entry = this.#entries.get(pod.metadata.uid!);
    if (entry === undefined) return;
    void entry.worker.end(entry.deleting ? undefined : 1).then(() => {
      entry.runtime.removeLogs();
      this.#entries.delete(entry.worker.uid);
      this.#options.log.info('pod gone', { pod: podName(pod), uid: entry.worker.uid });
    });
  }

  async #removeObject(pod: PodObject): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#options.client.delete(POD, { namespace, name }, { gracePeriodSeconds: 0, uid: uid! });
        return;
      } catch (error) {
        if (isKubeError(error, 'KUBE_CONFLICT')) return;
        this.#options.log.warn('pod object not removed', { pod: podName(pod), error: describeError(error) });
        await this.#options.clock.sleep(RETRY_MS, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  #due(entry: Entry): void {
    if (entry.sync === 'idle') {
      entry.sync = 'busy';
      void this.#syncLoop(entry);
    } else entry.sync = 'due';
  }

  async #syncLoop(entry: Entry): Promise<void> {
    do {
      entry.sync = 'busy';
      await this.#options.clock.sleep(GATHER_MS);
      const told = await this.#tell(entry);
      if (!told && !this.#stop.signal.aborted) {
        await this.#options.clock.sleep(RETRY_MS, this.#stop.signal).catch(() => undefined);
        entry.sync = 'due';
      }
    } while ((entry.sync as Entry['sync']) === 'due' && !this.#stop.signal.aborted);
    entry.sync = 'idle';
  }

  /** Writes the pod's status when it differs from what was told last. False when it has to be tried again. */
  async #tell(entry: Entry): Promise<boolean> {
    const { namespace, name, uid } = entry.worker.pod.metadata;
    const status = entry.worker.status();
    const text = JSON.stringify(status);
    if (text === entry.told) return true;
    // After a reboot the object still has the addresses of its former network, which another pod may have by now.
    const addresses = status.podIP === undefined ? { podIP: null, podIPs: null } : {};
    try {
      await this.#options.client.mergePatch(
        POD,
        { namespace, name, subresource: 'status' },
        { metadata: { uid }, status: { ...status, ...addresses } },
      );
      entry.told = text;
      return true;
    } catch (error) {
      // Gone, or replaced by another pod of this name: there is nobody left to tell.
      if (isKubeError(error, 'KUBE_NOT_FOUND') || isKubeError(error, 'KUBE_CONFLICT')) return true;
      this.#options.log.debug('status not stored', { pod: `${namespace}/${name}`, error: describeError(error) });
      return false;
    }
  }

  async #refreshForever(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(REFRESH_MS, this.#stop.signal).catch(() => undefined);
      if (!this.#stop.signal.aborted) this.refresh();
    }
  }
}

function isOver(pod: PodObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
