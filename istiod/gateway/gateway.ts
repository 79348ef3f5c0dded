// SPDX-License-Identifier: Apache-2.0
// The gateway controller as a part of the app: classes, what runs for Gateways, their parameters, and the lease that
// decides which replica writes. What is to be is computed by the model; here it is only made so.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { EventRecorder } from '#lib/kube/events.ts';
import { Leader } from '#lib/kube/leader.ts';
import { objectKey as keyOf } from '#lib/kube/object.ts';
import type { IstiodConfig } from '../config.ts';
import type { ObjectStatusWriter, StatusTarget } from '../status/object-status.ts';
import { leaseOf } from '../status/status.ts';
import type { Informers } from '../watch/informers.ts';
import type { MeshModel } from '../watch/mesh-model.ts';
import { ClassCreator } from './classes.ts';
import { Deployer } from './deployer.ts';
import { LiveObjects } from './live-objects.ts';
import { nextClassStatus, nextGatewayStatus } from './next-status.ts';
import { ParameterWatch } from './parameters.ts';

const LEASE = 'ambit-gateway-deployment';

export interface GatewayControllerOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly config: IstiodConfig;
  readonly informers: Informers;
  readonly mesh: MeshModel;
}

export class GatewayController {
  readonly #leader: Leader;
  readonly #parameters: ParameterWatch;

  constructor({ client, clock, config, informers, log, mesh, random }: GatewayControllerOptions) {
    const { plans } = mesh.model.gateways;
    const events = new EventRecorder({ client, clock, log, component: 'istiod', instance: config.podName });
    const live = new LiveObjects(informers, (gateway) => deployer.changed(gateway));
    const deployer = new Deployer({ client, clock, log, events, plans, live });
    const { ownClassesOnly } = config;
    const classes = new ClassCreator({ client, log, classes: informers.gatewayClasses, ownClassesOnly });
    this.#parameters = new ParameterWatch({
      client,
      clock,
      random,
      log,
      gateways: informers.gateways,
      source: mesh.gatewayParameters,
    });
    this.#leader = new Leader({
      client,
      clock,
      log,
      namespace: config.namespace,
      name: leaseOf(LEASE, config.revision),
      identity: config.podName,
      leaseSeconds: config.leaseSeconds,
      lead: (term) => {
        if (config.createGatewayClasses) classes.lead(term);
        if (config.deployGateways) deployer.lead(term);
      },
    });
  }

  start(): void {
    this.#leader.start();
  }

  async stop(): Promise<void> {
    this.#parameters.stop();
    await this.#leader.stop();
  }
}

/** Statuses of Gateways and GatewayClasses, for the writer. */
export function gatewayTargets(informers: Informers, mesh: MeshModel): Readonly<Record<string, StatusTarget>> {
  const { classStatuses, listenerSets, statuses } = mesh.model.gateways;
  return {
    ListenerSet: {
      informer: informers.listenerSets,
      next: (object, now) => nextGatewayStatus(object, listenerSets.get(keyOf(object)), now),
    },
    Gateway: {
      informer: informers.gateways,
      next: (object, now) => nextGatewayStatus(object, statuses.get(keyOf(object)), now),
    },
    GatewayClass: {
      informer: informers.gatewayClasses,
      next: (object, now) => nextClassStatus(object, classStatuses.get(keyOf(object)), now),
    },
  };
}

/** Tells the writer whenever the model says something else. */
export function followGateways(mesh: MeshModel, writer: ObjectStatusWriter): void {
  const { classStatuses, listenerSets, statuses } = mesh.model.gateways;
  listenerSets.subscribe((changes) => {
    for (const { key } of changes) writer.changed('ListenerSet', key);
  });
  statuses.subscribe((changes) => {
    for (const { key } of changes) writer.changed('Gateway', key);
  });
  classStatuses.subscribe((changes) => {
    for (const { key } of changes) writer.changed('GatewayClass', key);
  });
}
