// SPDX-License-Identifier: Apache-2.0
// Other clusters of the mesh, one for each key of the Secrets labelled istio/multiCluster: their pods, services and
// nodes join ours. A cluster that cannot be reached keeps its last state; new credentials take over once they have
// shown the whole cluster; a cluster whose key is gone is forgotten.
//
//   unknown ──key──▶ connecting ──everything listed──▶ joined ──another kubeconfig──▶ joined, and the next connecting
//      ▲                                                 │
//      └───────────────────────key gone──────────────────┘

import { createHash } from 'node:crypto';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { Secret } from '#lib/kube/object.ts';
import { PodIndex } from '../ca/pod-index.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { type ClusterInformers, createClusterInformers } from './informers.ts';
import { unsafeWays } from './remote-kubeconfig.ts';
import type { SourceHealth } from './source-health.ts';

/** Where a cluster's objects go. */
export interface ClusterSink {
  /** Makes the cluster's objects those of the informers, from now on; returns the way to stop. */
  feed(cluster: string, informers: ClusterInformers): () => void;
  withdraw(cluster: string): void;
}

export interface RemoteClustersOptions {
  readonly secrets: Informer<Secret>;
  readonly sink: ClusterSink;
  /** Makes a client from a kubeconfig's text. */
  readonly connect: (kubeconfig: string) => KubeClient;
  readonly ownClusterId: string;
  /** Unsafe ways of kubeconfigs that are let pass. */
  readonly allowedWays: ReadonlySet<string>;
  /** How long the start waits for clusters that do not answer. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly health: SourceHealth;
}

/** One set of credentials at work. */
interface Connection {
  readonly fingerprint: string;
  readonly client: KubeClient;
  readonly informers: ClusterInformers;
  readonly pods: PodIndex;
  stop(): void;
}

interface Cluster {
  /** Key of the Secret that it came from first. */
  readonly secret: string;
  /** When it was first heard of; monotonic ms. */
  readonly since: number;
  /** undefined until a first listing is complete. */
  joined: Connection | undefined;
  /** What will take over; undefined when nothing is on its way. */
  next: Connection | undefined;
}

export class RemoteClusters {
  readonly #options: RemoteClustersOptions;
  readonly #clusters = new Map<string, Cluster>();

  constructor(options: RemoteClustersOptions) {
    this.#options = options;
  }

  /** Call it once the Secrets are listed. */
  start(): void {
    this.#options.secrets.subscribe((changes) => {
      for (const change of changes) {
        const event = change.op === 'delete' ? 'delete' : change.old === undefined ? 'add' : 'update';
        this.#options.metrics.remoteSecretEvents.inc({ event });
        this.#apply(change.key, change.op === 'set' ? change.object : undefined);
      }
    });
  }

  stop(): void {
    for (const { joined, next } of this.#clusters.values()) {
      joined?.stop();
      next?.stop();
    }
  }

  /** Resolves when every cluster known now has been listed, or has had its time. */
  async whenSynced(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics, patienceMs } = this.#options;
    const until = clock.monotonic() + patienceMs;
    for (;;) {
      const waiting = [...this.#clusters].filter(([, { joined }]) => joined === undefined).map(([id]) => id);
      if (waiting.length === 0) return;
      if (clock.monotonic() >= until) {
        log.warn('going on without clusters that do not answer', { clusters: waiting });
        metrics.remoteSyncTimeouts.inc({}, waiting.length);
        return;
      }
      await clock.sleep(20, signal);
    }
  }

  /** The API server of a remote cluster, and its pods. */
  get(cluster: string): { readonly client: KubeClient; readonly pods: PodIndex } | undefined {
    return this.#clusters.get(cluster)?.joined;
  }

  /** Our own and the others, for the page `clusterz`. */
  view(): readonly { readonly id: string; readonly secretName?: string; readonly syncStatus: string }[] {
    const { clock, ownClusterId, patienceMs } = this.#options;
    const others = [...this.#clusters].map(([id, { joined, next, secret, since }]) => {
      const waiting = clock.monotonic() - since < patienceMs ? 'syncing' : 'timeout';
      return { id, secretName: secret, syncStatus: joined ? 'synced' : next ? waiting : 'closed' };
    });
    return [{ id: ownClusterId, syncStatus: 'synced' }, ...others];
  }

  get ids(): readonly string[] {
    return [...this.#clusters.keys()];
  }

  #apply(secret: string, object: Secret | undefined): void {
    const { log, ownClusterId } = this.#options;
    const wanted = new Map(
      Object.entries(object?.data ?? {}).map(([id, text]) => [id, Buffer.from(text, 'base64').toString()]),
    );
    for (const [id, cluster] of this.#clusters) {
      if (cluster.secret === secret && !wanted.has(id)) this.#forget(id, cluster);
    }
    for (const [id, kubeconfig] of wanted) {
      if (id === ownClusterId) continue;
      const known = this.#clusters.get(id);
      if (known !== undefined && known.secret !== secret) {
        log.warn('a cluster is named by two Secrets; the first counts', { cluster: id, secret, first: known.secret });
        continue;
      }
      this.#join(id, secret, kubeconfig);
    }
    this.#options.metrics.managedClusters.set({ cluster_type: 'remote' }, this.#clusters.size);
  }

  #join(id: string, secret: string, kubeconfig: string): void {
    const { clock, health, log } = this.#options;
    const cluster = this.#clusters.get(id) ?? {
      ...{ secret, since: clock.monotonic(), joined: undefined, next: undefined },
    };
    const fingerprint = createHash('sha256').update(kubeconfig).digest('hex');
    if ((cluster.next ?? cluster.joined)?.fingerprint === fingerprint) return;
    this.#clusters.set(id, cluster);
    cluster.next?.stop();
    cluster.next = undefined;
    try {
      const unsafe = unsafeWays(kubeconfig).filter((way) => !this.#options.allowedWays.has(way));
      if (unsafe.length > 0) throw new Error(`its kubeconfig uses ${unsafe.join(', ')}, which is not allowed`);
      const next = this.#connection(id, kubeconfig, fingerprint);
      cluster.next = next;
      void Promise.all(Object.values(next.informers).map((informer) => informer.whenSynced())).then(() =>
        this.#takeOver(id, cluster, next),
      );
    } catch (error) {
      const reason = describeError(error);
      health.report(id, 'kubeconfig', false, reason);
      log.error('a remote cluster cannot be connected to', { cluster: id, secret, error: reason });
    }
  }

  #connection(id: string, kubeconfig: string, fingerprint: string): Connection {
    const { clock, health, metrics, random } = this.#options;
    const client = this.#options.connect(kubeconfig);
    const log = this.#options.log.child(id);
    const informers = createClusterInformers({ client, clock, random, log, metrics, health, clusterId: id });
    const pods = new PodIndex();
    informers.pods.subscribe((changes) => pods.apply(changes));
    for (const informer of Object.values(informers)) informer.start();
    const end = (): void => {
      for (const informer of Object.values(informers)) informer.stop();
      void client.close();
    };
    return { fingerprint, client, informers, pods, stop: end };
  }

  #takeOver(id: string, cluster: Cluster, next: Connection): void {
    const { health, log, sink } = this.#options;
    // Overtaken by still newer credentials, or the cluster was forgotten meanwhile.
    if (cluster.next !== next || this.#clusters.get(id) !== cluster) return;
    cluster.joined?.stop();
    const unsubscribe = sink.feed(id, next.informers);
    const end = next.stop;
    next.stop = () => {
      unsubscribe();
      end();
    };
    cluster.joined = next;
    cluster.next = undefined;
    health.report(id, 'kubeconfig', true, '');
    log.info('a remote cluster has joined', { cluster: id, pods: next.informers.pods.size });
  }

  #forget(id: string, cluster: Cluster): void {
    cluster.joined?.stop();
    cluster.next?.stop();
    this.#clusters.delete(id);
    this.#options.sink.withdraw(id);
    this.#options.health.forget(id);
    this.#options.log.info('a remote cluster is no longer of the mesh', { cluster: id });
  }
}
