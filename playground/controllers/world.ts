// SPDX-License-Identifier: Apache-2.0
// What all controllers share: the client, clock, log and one cache a kind.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient, Selection } from '#lib/kube/client.ts';
import type { EventRecorder } from '#lib/kube/events.ts';
import { Informer } from '#lib/kube/informer.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import type { KubeObject } from '../api/json.ts';
import { ObjectCache } from './cache.ts';
import {
  type AnyKind,
  CONFIG_MAP,
  CRD,
  DAEMON_SET,
  DEPLOYMENT,
  ENDPOINT_SLICE,
  ENDPOINTS,
  JOB,
  NAMESPACE,
  NODE,
  POD,
  REPLICA_SET,
  SERVICE,
  SERVICE_ACCOUNT,
  STATEFUL_SET,
} from './kinds.ts';

export interface WorldParts {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly events: EventRecorder;
}

export const ROOT_CA = 'kube-root-ca.crt';

/** A running controller. */
export interface Controller {
  stop(): void;
}

export class World {
  readonly parts: WorldParts;
  readonly pods: ObjectCache;
  readonly nodes: ObjectCache;
  readonly services: ObjectCache;
  readonly namespaces: ObjectCache;
  readonly serviceAccounts: ObjectCache;
  readonly endpointSlices: ObjectCache;
  readonly endpoints: ObjectCache;
  readonly deployments: ObjectCache;
  readonly replicaSets: ObjectCache;
  readonly daemonSets: ObjectCache;
  readonly statefulSets: ObjectCache;
  readonly jobs: ObjectCache;
  readonly crds: ObjectCache;
  readonly rootCas: ObjectCache;
  readonly #caches: ObjectCache[] = [];

  constructor(parts: WorldParts) {
    this.parts = parts;
    const cache = (kind: AnyKind, selection?: Selection): ObjectCache => {
      const made = this.informer(kind, selection);
      this.#caches.push(made);
      return made;
    };
    this.pods = cache(POD as AnyKind);
    this.nodes = cache(NODE as AnyKind);
    this.services = cache(SERVICE as AnyKind);
    this.namespaces = cache(NAMESPACE as AnyKind);
    this.serviceAccounts = cache(SERVICE_ACCOUNT as AnyKind);
    this.endpointSlices = cache(ENDPOINT_SLICE as AnyKind);
    this.endpoints = cache(ENDPOINTS);
    this.deployments = cache(DEPLOYMENT);
    this.replicaSets = cache(REPLICA_SET);
    this.daemonSets = cache(DAEMON_SET);
    this.statefulSets = cache(STATEFUL_SET);
    this.jobs = cache(JOB);
    this.crds = cache(CRD);
    this.rootCas = cache(CONFIG_MAP as AnyKind, { fieldSelector: `metadata.name=${ROOT_CA}` });
  }

  /** The complete cache of a kind that controllers share, if there is one. */
  shared(kind: AnyKind): ObjectCache | undefined {
    return this.#caches.find(
      (cache) => cache !== this.rootCas && cache.kind.plural === kind.plural && cache.kind.group === kind.group,
    );
  }

  /** A cache of a kind that not all controllers share; the caller starts it. */
  informer(
    kind: AnyKind,
    selection?: Selection,
    trim?: (object: GenericObject) => GenericObject,
    log: Logger = this.parts.log,
  ): ObjectCache {
    const { client, clock, random } = this.parts;
    const options = {
      client,
      kind,
      clock,
      random,
      log,
      ...(selection ? { selection } : {}),
      ...(trim ? { trim } : {}),
    };
    return new ObjectCache(kind, client, new Informer(options));
  }

  /** A queue whose keys are brought in line one at a time each. */
  queue(name: string, reconcile: (key: string) => Promise<void>, concurrency = 2): WorkQueue {
    const { clock, log } = this.parts;
    return new WorkQueue({ name, clock, log: log.child(name), concurrency, reconcile });
  }

  /** Begins to watch; resolves when every cache is complete. */
  async start(): Promise<void> {
    for (const cache of this.#caches) cache.start();
    await Promise.all(this.#caches.map((cache) => cache.whenSynced()));
  }

  stop(): void {
    for (const cache of this.#caches) cache.stop();
  }

  /** Tells people what a controller did or could not do; never waits for it. */
  tell(kind: AnyKind, object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    void this.parts.events.record(kind, object as unknown as GenericObject, { type, reason, message });
  }
}
