// SPDX-License-Identifier: Apache-2.0
// Deployment: one ReplicaSet a template, moved from old to new as the strategy allows.
import { copy, equal, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../api/json.ts';
import { controllerUid, keyOf } from './cache.ts';
import { DEPLOYMENT } from './kinds.ts';
import { isFinished, ownedBy, templateHash, withCondition } from './pods.ts';
import { limitsOf, nextSizes } from './rollout.ts';
import type { Controller, World } from './world.ts';

const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';
const count = (set: KubeObject | undefined, ...path: string[]): number => numberAt(set, ...path) ?? 0;
const sizeOf = (set: KubeObject) => ({
  replicas: count(set, 'spec', 'replicas'),
  available: count(set, 'status', 'availableReplicas'),
});
const revisionOf = (object: KubeObject): number => Number(object.metadata.annotations?.[REVISION] ?? 0);

export function deploymentController(world: World): Controller {
  const queue = world.queue('deployment', reconcile);
  world.deployments.listen((object) => queue.add(keyOf(object)));
  world.replicaSets.listen((set) => {
    const owner = world.deployments.values().find((deployment) => deployment.metadata.uid === controllerUid(set));
    if (owner) queue.add(keyOf(owner));
  });

  async function reconcile(key: string): Promise<void> {
    const deployment = world.deployments.get(key);
    if (!deployment || deployment.metadata.deletionTimestamp) return;
    const hash = templateHash(objectAt(deployment, 'spec')['template']);
    const sets = world.replicaSets.ownedBy(deployment.metadata.uid).filter((set) => !set.metadata.deletionTimestamp);
    let fresh = sets.find((set) => set.metadata.labels?.[HASH] === hash);
    const old = sets.filter((set) => set !== fresh).sort((a, b) => revisionOf(a) - revisionOf(b));
    if (objectAt(deployment, 'spec')['paused'] !== true || fresh) {
      fresh = await ensureFresh(deployment, hash, fresh, old);
      await roll(deployment, fresh, old);
    }
    await report(deployment, world.replicaSets.ownedBy(deployment.metadata.uid), hash);
    await forget(deployment, old);
  }

  async function ensureFresh(
    deployment: KubeObject,
    hash: string,
    found: KubeObject | undefined,
    old: KubeObject[],
  ): Promise<KubeObject> {
    const newest = Math.max(0, ...old.map(revisionOf));
    if (found && revisionOf(found) > newest) {
      await markRevision(deployment, revisionOf(found));
      return found;
    }
    const revision = String(newest + 1);
    await markRevision(deployment, newest + 1);
    if (found) return world.replicaSets.patch(found, { metadata: { annotations: { [REVISION]: revision } } });
    const template = copy(objectAt(deployment, 'spec', 'template'));
    const meta = objectAt(template, 'metadata');
    template['metadata'] = { ...meta, labels: { ...objectAt(meta, 'labels'), [HASH]: hash } };
    const selector = objectAt(deployment, 'spec', 'selector');
    const made = await world.replicaSets.create({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${deployment.metadata.name}-${hash}`,
        namespace: deployment.metadata.namespace ?? '',
        labels: { ...(objectAt(meta, 'labels') as Record<string, string>), [HASH]: hash },
        annotations: { [REVISION]: revision },
        ownerReferences: [ownedBy(DEPLOYMENT, deployment)],
      },
      spec: {
        replicas: 0,
        minReadySeconds: numberAt(deployment, 'spec', 'minReadySeconds') ?? 0,
        selector: { ...selector, matchLabels: { ...objectAt(selector, 'matchLabels'), [HASH]: hash } },
        template,
      },
    });
    return made;
  }

  async function markRevision(deployment: KubeObject, revision: number): Promise<void> {
    if (revisionOf(deployment) === revision) return;
    await world.deployments.patch(deployment, { metadata: { annotations: { [REVISION]: String(revision) } } });
  }

  async function roll(deployment: KubeObject, fresh: KubeObject, old: KubeObject[]): Promise<void> {
    const desired = numberAt(deployment, 'spec', 'replicas') ?? 1;
    const strategy = objectAt(deployment, 'spec', 'strategy');
    if (strategy['type'] === 'Recreate') {
      for (const set of old) await resize(deployment, set, 0);
      const left = old.flatMap((set) => world.pods.ownedBy(set.metadata.uid)).filter((pod) => !isFinished(pod));
      if (left.length === 0) await resize(deployment, fresh, desired);
      return;
    }
    const update = objectAt(strategy, 'rollingUpdate');
    const limits = limitsOf(desired, update['maxSurge'], update['maxUnavailable']);
    const sizes = nextSizes(desired, limits, sizeOf(fresh), old.map(sizeOf));
    await resize(deployment, fresh, sizes.fresh);
    for (const [index, set] of old.entries()) await resize(deployment, set, sizes.old[index]!);
  }

  async function resize(deployment: KubeObject, set: KubeObject, replicas: number): Promise<void> {
    const before = count(set, 'spec', 'replicas');
    if (before === replicas) return;
    await world.replicaSets.patch(set, { spec: { replicas } });
    const direction = replicas > before ? 'up' : 'down';
    world.tell(
      DEPLOYMENT,
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${direction} replica set ${set.metadata.name} from ${before} to ${replicas}`,
    );
  }

  async function report(given: KubeObject, sets: KubeObject[], hash: string): Promise<void> {
    const deployment = world.deployments.get(keyOf(given)) ?? given;
    const sum = (...path: string[]): number => sets.reduce((total, set) => total + count(set, ...path), 0);
    const desired = numberAt(deployment, 'spec', 'replicas') ?? 1;
    const fresh = sets.find((set) => set.metadata.labels?.[HASH] === hash);
    const available = sum('status', 'availableReplicas');
    const updated = count(fresh, 'status', 'replicas');
    const update = objectAt(deployment, 'spec', 'strategy', 'rollingUpdate');
    const enough = available >= desired - limitsOf(desired, update['maxSurge'], update['maxUnavailable']).unavailable;
    const done = updated === desired && available >= desired && sum('status', 'replicas') === desired;
    const now = world.parts.clock.now();
    let conditions = listAt(deployment, 'status', 'conditions');
    conditions = withCondition(
      conditions,
      {
        type: 'Available',
        status: enough ? 'True' : 'False',
        reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
      },
      now,
    );
    const name = fresh?.metadata.name ?? '';
    conditions = withCondition(
      conditions,
      {
        type: 'Progressing',
        status: 'True',
        reason: done ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated',
        message: done ? `ReplicaSet "${name}" has successfully progressed.` : `ReplicaSet "${name}" is progressing.`,
      },
      now,
    );
    const status: JsonObject = {
      observedGeneration: deployment.metadata.generation ?? 0,
      replicas: sum('status', 'replicas'),
      updatedReplicas: updated,
      readyReplicas: sum('status', 'readyReplicas'),
      availableReplicas: available,
      unavailableReplicas: Math.max(0, desired - available),
      conditions,
    };
    if (!equal(status, deployment['status'])) await world.deployments.update({ ...deployment, status }, 'status');
  }

  async function forget(deployment: KubeObject, old: KubeObject[]): Promise<void> {
    const limit = numberAt(deployment, 'spec', 'revisionHistoryLimit') ?? 10;
    const empty = old.filter(
      (set) =>
        count(set, 'spec', 'replicas') === 0 &&
        count(set, 'status', 'replicas') === 0 &&
        textAt(set, 'metadata', 'uid'),
    );
    for (const set of empty.slice(0, Math.max(0, old.length - limit))) await world.replicaSets.delete(set);
  }

  return queue;
}
