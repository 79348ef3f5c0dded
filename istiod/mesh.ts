// SPDX-License-Identifier: Apache-2.0
// The mesh: everything that is derived from the sources, those of other clusters and those that configuration names
// included, and from there what each client is told.

import { randomUUID } from 'node:crypto';
import { VERSION } from '#lib/kit/version.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { endUnacknowledged } from '#lib/linux/unacknowledged.ts';
import { HEALTH_TYPE } from '#lib/xds/resource.ts';
import type { Callers } from './callers.ts';
import { Push } from './push/push.ts';
import type { Sources } from './sources.ts';
import type { Surroundings } from './surroundings.ts';
import { KeySets } from './watch/key-sets.ts';
import { MeshModel } from './watch/mesh-model.ts';
import { NamedDataWatch } from './watch/named-data.ts';
import { RemoteClusters } from './watch/remote-clusters.ts';

export interface MeshOptions {
  readonly callers: Callers;
  /** Whether clients may be answered. */
  readonly ready: () => boolean;
}

export class Mesh {
  readonly model: MeshModel;
  readonly push: Push;
  readonly clusters: RemoteClusters;
  readonly #namedData: NamedDataWatch;
  readonly #keySets: KeySets;
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings, { informers }: Sources, { callers, ready }: MeshOptions) {
    const { client, clock, config, health, log, metrics, random } = surroundings;
    this.#surroundings = surroundings;
    this.push = new Push({
      ...{ clock, metrics, ready, log: log.child('ads') },
      debounceAfterMs: config.debounceAfterMs,
      debounceMaxMs: config.debounceMaxMs,
      instance: config.podName,
      version: VERSION,
      nonce: randomUUID,
      admit: (caller) => callers.admit(caller),
      ...(callers.machines !== undefined && { clients: callers.machines }),
    });
    this.push.server.takeReports(HEALTH_TYPE);
    this.model = new MeshModel({ config, informers, push: this.push, metrics, log: log.child('model') });
    this.clusters = new RemoteClusters({
      ...{ clock, random, metrics, health, log: log.child('cluster') },
      secrets: informers.remoteSecrets,
      sink: this.model.clusters,
      connect: (text) => connectKube({ text }, endUnacknowledged),
      ownClusterId: config.clusterId,
      allowedWays: new Set(config.allowedKubeconfigWays),
      patienceMs: config.remotePatienceMs,
    });
    const { wantedData, wantedKeySets } = this.model.model.layer7;
    this.#namedData = new NamedDataWatch({
      ...{ client, clock, random, log: log.child('kube') },
      wanted: wantedData,
      source: this.model.namedData,
    });
    this.#keySets = new KeySets({
      ...{ clock, log: log.child('keys'), ...config.keySets },
      wanted: wantedKeySets,
      source: this.model.keySets,
    });
  }

  /** Takes other clusters in, once the sources are synced; resolves when nothing is missing that can be had. */
  async complete(signal: AbortSignal): Promise<void> {
    this.clusters.start();
    await this.clusters.whenSynced(signal);
    this.push.flush();
  }

  /** What needs nobody to be told any more stops; clients are sent away at random moments, then no more are told. */
  async drain(): Promise<void> {
    const { config, random } = this.#surroundings;
    this.#keySets.stop();
    this.#namedData.stop();
    await this.push.drain(config.shutdownMs / 2, random);
    this.push.stop();
  }

  stop(): void {
    this.clusters.stop();
  }
}
