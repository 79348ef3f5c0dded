// SPDX-License-Identifier: Apache-2.0
// What istiod writes to the cluster: status and addresses of objects, what Gateways need, and the mesh's root and
// revocation list in each namespace. Of several replicas the holder of a lease writes; each task has its own.

import type { RunningAuthority } from './ca/authority.ts';
import { publishRevocationList } from './ca/revocation-list.ts';
import { RootConfigMaps } from './ca/root-config-maps.ts';
import { TrustBundle } from './ca/trust-bundle.ts';
import { createEntryAddresses } from './entry/addresses.ts';
import { followGateways, GatewayController, gatewayTargets } from './gateway/gateway.ts';
import { followPolicies, policyTargets } from './gateway/policy-status.ts';
import { followRoutes, routeTargets } from './gateway/route-status.ts';
import type { Mesh } from './mesh.ts';
import type { Sources } from './sources.ts';
import { createStatus } from './status/status.ts';
import type { Surroundings } from './surroundings.ts';

interface Task {
  start(): void;
  stop(): Promise<void>;
}

export class Writers {
  readonly #surroundings: Surroundings;
  readonly #sources: Sources;
  readonly #mesh: Mesh;
  /** They know what is to be written from the beginning on, and stop in this order. */
  readonly #tasks: readonly Task[];
  /** Need the authority. */
  #roots: readonly Pick<Task, 'stop'>[] = [];

  constructor(surroundings: Surroundings, sources: Sources, mesh: Mesh) {
    const { client, clock, config, log, random } = surroundings;
    const { informers } = sources;
    const { model } = mesh;
    this.#surroundings = surroundings;
    this.#sources = sources;
    this.#mesh = mesh;
    const { ownClassesOnly } = config;
    const targets = {
      ...gatewayTargets(informers, model),
      ...routeTargets(informers, model, ownClassesOnly),
      ...policyTargets(informers, model, ownClassesOnly),
    };
    const ownership = () => model.ownership;
    const status = createStatus({ client, clock, config, informers, targets, ownership, log: log.child('status') });
    model.onReport((id, report) => status.writer.report(id, report));
    followGateways(model, status.objects);
    followRoutes(model, status.objects);
    followPolicies(model, status.objects);
    const gateways = { client, clock, random, config, informers, mesh: model, log: log.child('gateway') };
    const addresses = createEntryAddresses({
      ...{ client, clock, config, log: log.child('entry') },
      entries: informers.serviceEntries,
      goesFirst: () => model.ownership.unnamed,
    });
    this.#tasks = [
      ...(config.writeStatus ? [status.leader] : []),
      ...(config.giveAddresses ? [addresses] : []),
      new GatewayController(gateways),
    ];
  }

  /** Begins to write whenever a lease is held. Until `signal` aborts the revocation list is followed. */
  start(authority: RunningAuthority, signal: AbortSignal): void {
    const { client, clock, config, log, random } = this.#surroundings;
    const { crlConfigMaps, namespaces, rootConfigMaps } = this.#sources.informers;
    const everywhere = {
      ...{ client, clock, namespaces, log: log.child('ca') },
      namespace: config.namespace,
      identity: config.podName,
      leaseSeconds: config.leaseSeconds,
      goesFirst: () => this.#mesh.model.ownership.unnamed,
    };
    const content = (): string => authority.signer.rootPem;
    const maps = { name: config.rootConfigMap, configMaps: rootConfigMaps };
    const roots = [
      new RootConfigMaps({ ...everywhere, ...maps, content }),
      ...(config.writeTrustBundle ? [new TrustBundle({ ...everywhere, random, content })] : []),
    ];
    this.#roots = [...roots, publishRevocationList({ ...everywhere, config, configMaps: crlConfigMaps }, signal)];
    authority.onRootChange(() => {
      for (const root of roots) root.refresh();
    });
    for (const root of roots) root.start();
    for (const task of this.#tasks) task.start();
  }

  /** Gives the leases back, so that another replica goes on at once. */
  async stop(): Promise<void> {
    for (const task of [...this.#roots, ...this.#tasks]) await task.stop();
  }
}
