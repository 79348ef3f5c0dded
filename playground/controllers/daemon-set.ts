// SPDX-License-Identifier: Apache-2.0
// DaemonSet: one pod on every node that will have it, replaced node by node within maxSurge and maxUnavailable.
// Pods get their node at once, so network agents start before anything else could be scheduled.
import { copy, equal, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../api/json.ts';
import { controllerUid, keyOf } from './cache.ts';
import { DAEMON_SET } from './kinds.ts';
import { refusesNode } from './placement.ts';
import { availableInMs, isActive, isFinished, isReady, podOf, share, templateHash } from './pods.ts';
import type { Controller, World } from './world.ts';

const HASH = 'controller-revision-hash';
/** Daemons run where ordinary pods may not. */
const TOLERATED: readonly (readonly [key: string, effect: string])[] = [
  ['node.kubernetes.io/not-ready', 'NoExecute'],
  ['node.kubernetes.io/unreachable', 'NoExecute'],
  ['node.kubernetes.io/disk-pressure', 'NoSchedule'],
  ['node.kubernetes.io/memory-pressure', 'NoSchedule'],
  ['node.kubernetes.io/pid-pressure', 'NoSchedule'],
  ['node.kubernetes.io/unschedulable', 'NoSchedule'],
];
const BLOCKING = ['NoSchedule', 'NoExecute'];

/** The template with the tolerations every daemon has. */
function daemonTemplate(set: KubeObject): JsonObject {
  const template = copy(objectAt(set, 'spec', 'template'));
  const spec = objectAt(template, 'spec');
  const network: (readonly [string, string])[] =
    spec['hostNetwork'] === true ? [['node.kubernetes.io/network-unavailable', 'NoSchedule']] : [];
  // A node whose network is not up yet is not ready, and the CNI agent is what brings it up.
  const early: readonly [string, string] = ['node.kubernetes.io/not-ready', 'NoSchedule'];
  const tolerations = [...TOLERATED, early, ...network].map(([key, effect]) => ({ key, operator: 'Exists', effect }));
  return { ...template, spec: { ...spec, tolerations: [...listAt(spec, 'tolerations'), ...tolerations] } };
}

export function daemonSetController(world: World): Controller {
  const queue = world.queue('daemonset', reconcile);
  const all = (): void => {
    for (const set of world.daemonSets.values()) queue.add(keyOf(set));
  };
  world.daemonSets.listen((set) => queue.add(keyOf(set)));
  world.nodes.listen((node, old, gone) => {
    if (gone || !old || !equal(node['spec'], old['spec']) || !equal(node.metadata.labels, old.metadata.labels)) all();
  });
  world.pods.listen((pod) => {
    const owner = world.daemonSets.values().find((set) => set.metadata.uid === controllerUid(pod));
    if (owner) queue.add(keyOf(owner));
  });

  async function reconcile(key: string): Promise<void> {
    const set = world.daemonSets.get(key);
    if (!set || set.metadata.deletionTimestamp) return;
    const template = daemonTemplate(set);
    const hash = templateHash(objectAt(set, 'spec')['template']);
    const wanted = world.nodes
      .values()
      .filter((node) => refusesNode(objectAt(template, 'spec'), node, BLOCKING) === undefined);
    const byNode = Map.groupBy(world.pods.ownedBy(set.metadata.uid), (pod) => textAt(pod, 'spec', 'nodeName') ?? '');
    const names = new Set(wanted.map((node) => node.metadata.name ?? ''));
    for (const [node, pods] of byNode)
      for (const pod of pods)
        if (pod.metadata.deletionTimestamp === undefined && (!names.has(node) || isFinished(pod)))
          await world.pods.delete(pod);
    for (const name of names) {
      const present = byNode.get(name) ?? [];
      // A pod that still ends keeps its place, as its ports and host paths do.
      if (present.length === 0) await create(set, template, hash, name);
    }
    if (textAt(set, 'spec', 'updateStrategy', 'type') !== 'OnDelete') await roll(set, template, hash, names, byNode);
    await report(set, hash, names);
  }

  async function create(set: KubeObject, template: JsonObject, hash: string, node: string): Promise<void> {
    const pod = podOf(DAEMON_SET, set, template, { [HASH]: hash });
    await world.pods.create({ ...pod, spec: { ...objectAt(pod, 'spec'), nodeName: node } });
  }

  async function roll(
    set: KubeObject,
    template: JsonObject,
    hash: string,
    names: ReadonlySet<string>,
    byNode: ReadonlyMap<string, KubeObject[]>,
  ): Promise<void> {
    const update = objectAt(set, 'spec', 'updateStrategy', 'rollingUpdate');
    const surge = share(update['maxSurge'], names.size, 'up');
    const allowed = share(update['maxUnavailable'] ?? 1, names.size, 'up');
    const isOld = (pod: KubeObject): boolean => pod.metadata.labels?.[HASH] !== hash;
    let unavailable = 0;
    let surging = 0;
    const candidates: { name: string; old: KubeObject }[] = [];
    for (const name of names) {
      const active = (byNode.get(name) ?? []).filter(isActive);
      const fresh = active.find((pod) => !isOld(pod));
      const old = active.find(isOld);
      if (!active.some((pod) => available(set, pod))) unavailable++;
      if (fresh && old) {
        // Both are there: the old one leaves as soon as the new one serves.
        if (available(set, fresh)) await world.pods.delete(old);
        else surging++;
      } else if (old) candidates.push({ name, old });
    }
    for (const { name, old } of candidates) {
      if (!available(set, old)) await world.pods.delete(old);
      else if (surge > surging) {
        surging++;
        await create(set, template, hash, name);
      } else if (surge === 0 && unavailable < allowed) {
        unavailable++;
        await world.pods.delete(old);
      }
    }
  }

  const available = (set: KubeObject, pod: KubeObject): boolean => {
    const wait = availableInMs(pod, numberAt(set, 'spec', 'minReadySeconds') ?? 0, world.parts.clock.now());
    if (wait !== undefined && wait > 0) world.parts.clock.after(wait, () => queue.add(keyOf(set)));
    return wait === 0;
  };

  async function report(given: KubeObject, hash: string, names: ReadonlySet<string>): Promise<void> {
    const set = world.daemonSets.get(keyOf(given)) ?? given;
    const pods = world.pods.ownedBy(set.metadata.uid).filter(isActive);
    const nodesWith = (test: (pod: KubeObject) => boolean): number =>
      new Set(
        pods
          .filter(test)
          .flatMap((pod) => textAt(pod, 'spec', 'nodeName') ?? [])
          .filter((name) => names.has(name)),
      ).size;
    const availableNodes = nodesWith((pod) => available(set, pod));
    const status: JsonObject = {
      currentNumberScheduled: nodesWith(() => true),
      desiredNumberScheduled: names.size,
      numberMisscheduled: pods.filter((pod) => !names.has(textAt(pod, 'spec', 'nodeName') ?? '')).length,
      numberReady: nodesWith(isReady),
      updatedNumberScheduled: nodesWith((pod) => pod.metadata.labels?.[HASH] === hash),
      numberAvailable: availableNodes,
      numberUnavailable: names.size - availableNodes,
      observedGeneration: set.metadata.generation ?? 0,
    };
    if (!equal(status, set['status'])) await world.daemonSets.update({ ...set, status }, 'status');
  }

  return queue;
}
