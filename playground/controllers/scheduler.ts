// SPDX-License-Identifier: Apache-2.0
// Scheduler: gives every pod without a node the feasible one with the fewest pods of the same owner, then the fewest
// pods. What does not fit waits, with the reason in its PodScheduled condition and an event.
import type { KubeObject } from '../api/json.ts';
import { objectAt, textAt } from '../api/json.ts';
import { matchLabelSelector } from '../api/store/selector.ts';
import { controllerUid, keyOf } from './cache.ts';
import { type AnyKind, POD } from './kinds.ts';
import { antiAffinityTerms, nodeReady, refusesNode } from './placement.ts';
import { condition, isFinished, withCondition } from './pods.ts';
import type { Controller, World } from './world.ts';

const BLOCKING = ['NoSchedule', 'NoExecute'];
const HOSTNAME = 'kubernetes.io/hostname';

export function schedulerController(world: World): Controller {
  // One at a time: each decision sees the one before.
  const queue = world.queue('scheduler', schedule, 1);
  const waiting = (pod: KubeObject): boolean =>
    !textAt(pod, 'spec', 'nodeName') &&
    !pod.metadata.deletionTimestamp &&
    !isFinished(pod) &&
    textAt(pod, 'spec', 'schedulerName') === 'default-scheduler';
  const retryAll = (): void => {
    for (const pod of world.pods.values()) if (waiting(pod)) queue.add(keyOf(pod));
  };
  world.pods.listen((pod, _old, gone) => {
    if (gone) retryAll();
    else if (waiting(pod)) queue.add(keyOf(pod));
  });
  world.nodes.listen((node, old) => {
    if (
      !old ||
      nodeReady(node) !== nodeReady(old) ||
      JSON.stringify([node['spec'], node.metadata.labels]) !== JSON.stringify([old['spec'], old.metadata.labels])
    )
      retryAll();
  });

  async function schedule(key: string): Promise<void> {
    const pod = world.pods.get(key);
    if (!pod || !waiting(pod)) return;
    const reasons = new Map<string, number>();
    const feasible = world.nodes.values().filter((node) => {
      const refusal = nodeReady(node)
        ? (refusesNode(objectAt(pod, 'spec'), node, BLOCKING) ?? refusesCompany(pod, node))
        : 'node(s) were not ready';
      if (refusal) reasons.set(refusal, (reasons.get(refusal) ?? 0) + 1);
      return refusal === undefined;
    });
    const best = choose(pod, feasible);
    if (!best) return unschedulable(pod, reasons);
    await bind(pod, best.metadata.name ?? '');
  }

  const onNode = (node: KubeObject): KubeObject[] =>
    world.pods.values().filter((pod) => textAt(pod, 'spec', 'nodeName') === node.metadata.name && !isFinished(pod));

  function refusesCompany(pod: KubeObject, node: KubeObject): string | undefined {
    for (const { selector, topologyKey, namespaces } of antiAffinityTerms(objectAt(pod, 'spec'))) {
      const matches = matchLabelSelector(selector);
      const place = node.metadata.labels?.[topologyKey] ?? (topologyKey === HOSTNAME ? node.metadata.name : undefined);
      const spaces = namespaces.length > 0 ? namespaces : [pod.metadata.namespace ?? ''];
      const taken = world.nodes
        .values()
        .filter((other) => other === node || (place !== undefined && other.metadata.labels?.[topologyKey] === place))
        .flatMap(onNode)
        .some((other) => spaces.includes(other.metadata.namespace ?? '') && matches(other.metadata.labels));
      if (taken) return "node(s) didn't match pod anti-affinity rules";
    }
    return undefined;
  }

  function choose(pod: KubeObject, nodes: KubeObject[]): KubeObject | undefined {
    const owner = controllerUid(pod);
    const score = (node: KubeObject): number => {
      const present = onNode(node);
      const siblings = owner ? present.filter((other) => controllerUid(other) === owner).length : 0;
      return siblings * 10_000 + present.length;
    };
    return nodes
      .map((node) => ({ node, score: score(node) }))
      .sort((a, b) => a.score - b.score || (a.node.metadata.name ?? '').localeCompare(b.node.metadata.name ?? ''))[0]
      ?.node;
  }

  async function bind(pod: KubeObject, node: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    await world.parts.client.text(`/api/v1/namespaces/${namespace}/pods/${name}/binding`, { body });
    world.pods.assume({
      ...pod,
      spec: { ...objectAt(pod, 'spec'), nodeName: node },
      metadata: { ...pod.metadata, resourceVersion: String(Number(pod.metadata.resourceVersion) + 1) },
    });
    world.tell(POD as AnyKind, pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
  }

  async function unschedulable(pod: KubeObject, reasons: ReadonlyMap<string, number>): Promise<void> {
    const total = world.nodes.values().length;
    const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(', ');
    const message = total === 0 ? 'no nodes available to schedule pods' : `0/${total} nodes are available: ${list}.`;
    if (condition(pod, 'PodScheduled')?.['message'] === message) return;
    const conditions = withCondition(
      [],
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message },
      world.parts.clock.now(),
    );
    await world.pods.patch(pod, { status: { conditions } }, 'status');
    world.tell(POD as AnyKind, pod, 'Warning', 'FailedScheduling', message);
  }

  return queue;
}
