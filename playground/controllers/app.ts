// SPDX-License-Identifier: Apache-2.0
// All controllers over one set of caches.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { EventRecorder } from '#lib/kube/events.ts';
import { daemonSetController } from './daemon-set.ts';
import { deploymentController } from './deployment.ts';
import { endpointsController } from './endpoints.ts';
import { garbageController } from './garbage.ts';
import { jobController } from './job.ts';
import { namespaceController } from './namespace.ts';
import { rootCaController, serviceAccountController } from './namespace-defaults.ts';
import { replicaSetController } from './replica-set.ts';
import { schedulerController } from './scheduler.ts';
import { statefulSetController } from './stateful-set.ts';
import { World } from './world.ts';

export interface ControllerParts {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** PEM of the API server's authority, for `kube-root-ca.crt`. */
  readonly caCert: string;
}

/** Starts every controller; resolves when all caches are complete. The result stops them. */
export async function startControllers({ caCert, ...parts }: ControllerParts): Promise<() => void> {
  const events = new EventRecorder({
    ...parts,
    component: 'playground-controllers',
    instance: 'playground-controllers',
  });
  const world = new World({ ...parts, events });
  await world.start();
  const running = [
    deploymentController(world),
    replicaSetController(world),
    daemonSetController(world),
    statefulSetController(world),
    jobController(world),
    endpointsController(world),
    serviceAccountController(world),
    rootCaController(world, caCert),
    namespaceController(world),
    garbageController(world),
    schedulerController(world),
  ];
  parts.log.info('controllers run', { controllers: running.length });
  return () => {
    for (const controller of running) controller.stop();
    world.stop();
  };
}
