// SPDX-License-Identifier: Apache-2.0
// ReplicaSet: as many pods as asked for, and a status that tells how many there are.
import { equal, type KubeObject, numberAt, objectAt } from '../api/json.ts';
import { controllerUid, keyOf } from './cache.ts';
import { REPLICA_SET } from './kinds.ts';
import { availableInMs, byDeletionOrder, isActive, isReady, podOf } from './pods.ts';
import type { Controller, World } from './world.ts';

/** Pods made or deleted in one go; the next change continues. */
const BURST = 50;

export function replicaSetController(world: World): Controller {
  const queue = world.queue('replicaset', reconcile, 4);
  world.replicaSets.listen((object) => queue.add(keyOf(object)));
  world.pods.listen((pod, old) => {
    for (const uid of new Set([controllerUid(pod), old && controllerUid(old)])) {
      const owner = uid && world.replicaSets.values().find((set) => set.metadata.uid === uid);
      if (owner) queue.add(keyOf(owner));
    }
  });

  async function reconcile(key: string): Promise<void> {
    const set = world.replicaSets.get(key);
    if (!set) return;
    const pods = world.pods.ownedBy(set.metadata.uid).filter(isActive);
    if (set.metadata.deletionTimestamp === undefined) await scale(set, pods);
    await report(set);
  }

  async function scale(set: KubeObject, pods: KubeObject[]): Promise<void> {
    const missing = (numberAt(set, 'spec', 'replicas') ?? 1) - pods.length;
    for (let count = 0; count < Math.min(missing, BURST); count++) {
      try {
        await world.pods.create(podOf(REPLICA_SET, set, objectAt(set, 'spec')['template'], {}));
      } catch (error) {
        world.tell(
          REPLICA_SET,
          set,
          'Warning',
          'FailedCreate',
          `Error creating: ${error instanceof Error ? error.message : String(error)}`,
        );
        throw error;
      }
    }
    if (missing < 0)
      for (const pod of pods.sort(byDeletionOrder).slice(0, Math.min(-missing, BURST))) await world.pods.delete(pod);
  }

  async function report(set: KubeObject): Promise<void> {
    const pods = world.pods.ownedBy(set.metadata.uid).filter(isActive);
    const seconds = numberAt(set, 'spec', 'minReadySeconds') ?? 0;
    const waits = pods.map((pod) => availableInMs(pod, seconds, world.parts.clock.now()));
    const soon = waits.filter((wait) => wait !== undefined && wait > 0) as number[];
    if (soon.length > 0) world.parts.clock.after(Math.min(...soon), () => queue.add(keyOf(set)));
    const status = {
      replicas: pods.length,
      fullyLabeledReplicas: pods.length,
      readyReplicas: pods.filter(isReady).length,
      availableReplicas: waits.filter((wait) => wait === 0).length,
      observedGeneration: set.metadata.generation ?? 0,
    };
    if (!equal(status, set['status'])) await world.replicaSets.update({ ...set, status }, 'status');
  }

  return queue;
}
