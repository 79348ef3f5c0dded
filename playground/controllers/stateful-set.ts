// SPDX-License-Identifier: Apache-2.0
// StatefulSet: pods with fixed names, made in order and replaced from the last to the first. Claim templates become
// empty volumes of the same name: the playground has no storage to claim.
import { copy, equal, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../api/json.ts';
import { controllerUid, keyOf } from './cache.ts';
import { STATEFUL_SET } from './kinds.ts';
import { isActive, isFinished, isReady, podOf, templateHash } from './pods.ts';
import type { Controller, World } from './world.ts';

const HASH = 'controller-revision-hash';

const ordinal = (pod: KubeObject): number => Number(/-(\d+)$/.exec(pod.metadata.name ?? '')?.[1] ?? -1);

function podTemplate(set: KubeObject, name: string): JsonObject {
  const template = copy(objectAt(set, 'spec', 'template'));
  const spec = objectAt(template, 'spec');
  const claims = listAt(set, 'spec', 'volumeClaimTemplates').map((claim) => ({
    name: textAt(claim, 'metadata', 'name') ?? '',
    emptyDir: {},
  }));
  const volumes = [...listAt(spec, 'volumes'), ...claims];
  return {
    ...template,
    spec: {
      ...spec,
      ...(volumes.length > 0 ? { volumes } : {}),
      hostname: name,
      subdomain: textAt(set, 'spec', 'serviceName') ?? '',
    },
  };
}

export function statefulSetController(world: World): Controller {
  const queue = world.queue('statefulset', reconcile);
  world.statefulSets.listen((set) => queue.add(keyOf(set)));
  world.pods.listen((pod) => {
    const owner = world.statefulSets.values().find((set) => set.metadata.uid === controllerUid(pod));
    if (owner) queue.add(keyOf(owner));
  });

  async function reconcile(key: string): Promise<void> {
    const set = world.statefulSets.get(key);
    if (!set) return;
    if (!set.metadata.deletionTimestamp) await step(set);
    await report(set);
  }

  /** One step: the next pod is touched only when those before it are ready, unless the policy is Parallel. */
  async function step(set: KubeObject): Promise<void> {
    const replicas = numberAt(set, 'spec', 'replicas') ?? 1;
    const parallel = textAt(set, 'spec', 'podManagementPolicy') === 'Parallel';
    const hash = templateHash(objectAt(set, 'spec')['template']);
    const pods = new Map(world.pods.ownedBy(set.metadata.uid).map((pod) => [ordinal(pod), pod]));
    for (let index = 0; index < replicas; index++) {
      const pod = pods.get(index);
      if (!pod) await create(set, index, hash);
      else if (isFinished(pod) && !pod.metadata.deletionTimestamp) await world.pods.delete(pod);
      if (!parallel && !(pod && isActive(pod) && isReady(pod))) return;
    }
    const surplus = [...pods].filter(([index]) => index >= replicas).sort(([a], [b]) => b - a);
    for (const [, pod] of surplus) {
      if (!pod.metadata.deletionTimestamp) await world.pods.delete(pod);
      if (!parallel) return;
    }
    if (textAt(set, 'spec', 'updateStrategy', 'type') === 'OnDelete') return;
    const partition = numberAt(set, 'spec', 'updateStrategy', 'rollingUpdate', 'partition') ?? 0;
    for (let index = replicas - 1; index >= partition; index--) {
      const pod = pods.get(index);
      if (pod && pod.metadata.labels?.[HASH] !== hash && !pod.metadata.deletionTimestamp) return world.pods.delete(pod);
      if (!pod || !isActive(pod) || !isReady(pod)) return;
    }
  }

  async function create(set: KubeObject, index: number, hash: string): Promise<void> {
    const name = `${set.metadata.name}-${index}`;
    const labels = {
      [HASH]: hash,
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(index),
    };
    await world.pods.create(podOf(STATEFUL_SET, set, podTemplate(set, name), labels, name));
  }

  async function report(given: KubeObject): Promise<void> {
    const set = world.statefulSets.get(keyOf(given)) ?? given;
    const hash = templateHash(objectAt(set, 'spec')['template']);
    const pods = world.pods.ownedBy(set.metadata.uid).filter(isActive);
    const updated = pods.filter((pod) => pod.metadata.labels?.[HASH] === hash).length;
    const ready = pods.filter(isReady).length;
    const old = textAt(set, 'status', 'currentRevision');
    const revision = `${set.metadata.name}-${hash}`;
    const status: JsonObject = {
      replicas: pods.length,
      readyReplicas: ready,
      availableReplicas: ready,
      updatedReplicas: updated,
      currentReplicas: pods.length - (old && old !== revision ? updated : 0),
      currentRevision: updated === pods.length || !old ? revision : old,
      updateRevision: revision,
      collisionCount: 0,
      observedGeneration: set.metadata.generation ?? 0,
    };
    if (!equal(status, set['status'])) await world.statefulSets.update({ ...set, status }, 'status');
  }

  return queue;
}
