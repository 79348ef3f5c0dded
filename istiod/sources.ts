// SPDX-License-Identifier: Apache-2.0
// What istiod sees of its own cluster: a copy of every kind of object that it reads, and the pods by their nodes.

import { aborted } from '#lib/kit/aborted.ts';
import { PodIndex } from './ca/pod-index.ts';
import type { Surroundings } from './surroundings.ts';
import { createInformers, type Informers } from './watch/informers.ts';

export class Sources {
  readonly informers: Informers;
  readonly pods = new PodIndex();

  constructor({ client, clock, config, health, log, metrics, random }: Surroundings) {
    const { clusterId, crlConfigMap, meshConfigMap, namespace, rootConfigMap } = config;
    this.informers = createInformers({
      ...{ client, clock, random, metrics, health, log: log.child('kube') },
      ...{ clusterId, namespace, rootConfigMap, crlConfigMap, meshConfigMap },
    });
    this.informers.pods.subscribe((changes) => this.pods.apply(changes));
  }

  start(): void {
    for (const informer of Object.values(this.informers)) informer.start();
  }

  /** Resolves when the mesh's settings have been read. */
  async settled(signal: AbortSignal): Promise<void> {
    await aborted(this.informers.meshConfig.whenSynced(), signal);
  }

  /** Resolves when everything has been read once. */
  async whenSynced(signal: AbortSignal): Promise<void> {
    await aborted(Promise.all(Object.values(this.informers).map((informer) => informer.whenSynced())), signal);
  }

  stop(): void {
    for (const informer of Object.values(this.informers)) informer.stop();
  }
}
