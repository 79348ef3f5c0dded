// SPDX-License-Identifier: Apache-2.0
// Whether the cluster is up: every node ready, every workload that was installed available. What is missing is named.
import type { KubeClient } from '#lib/kube/client.ts';
import { DAEMON_SET, DEPLOYMENT, NODE } from '#lib/kube/kind.ts';
import type { GenericObject, Node } from '#lib/kube/object.ts';
import type { PodObject } from '../kubelet/pod.ts';
import { POD } from '../kubelet/pod.ts';

export interface Wanted {
  readonly nodes: readonly string[];
  /** `Deployment istio-system/istiod` and the like. */
  readonly workloads: readonly string[];
}

/** What is not ready yet, one line each; empty when all is up. */
export async function pending(client: KubeClient, wanted: Wanted): Promise<string[]> {
  const [nodes, deployments, daemonSets] = await Promise.all([
    client.list(NODE),
    client.list(DEPLOYMENT),
    client.list(DAEMON_SET),
  ]);
  const missing = wanted.nodes.flatMap((name) => nodePending(name, nodes.items));
  const states = new Map([
    ...deployments.items.map((object): [string, string] => [keyOf('Deployment', object), deploymentState(object)]),
    ...daemonSets.items.map((object): [string, string] => [
      keyOf('DaemonSet', object),
      daemonSetState(object, wanted.nodes.length),
    ]),
  ]);
  for (const workload of wanted.workloads) {
    const state = states.get(workload) ?? 'does not exist';
    if (state !== '') missing.push(`${workload} ${state}`);
  }
  return missing;
}

/** Why pods are not ready, for a person who waited in vain. */
export async function unreadyPods(client: KubeClient): Promise<string[]> {
  const { items } = await client.list(POD);
  return items.filter((pod) => !isReady(pod)).map(describePod);
}

function keyOf(kind: string, { metadata }: GenericObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

function nodePending(name: string, nodes: readonly Node[]): string[] {
  const node = nodes.find(({ metadata }) => metadata.name === name);
  if (node === undefined) return [`node ${name} is not registered`];
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' ? [] : [`node ${name} is not ready: ${ready?.message ?? 'no status'}`];
}

const count = (value: unknown): number => (typeof value === 'number' ? value : 0);

function deploymentState({ metadata, spec, status = {} }: GenericObject): string {
  const replicas = count(spec?.['replicas'] ?? 1);
  const available = count(status['availableReplicas']);
  if (count(status['observedGeneration']) < (metadata.generation ?? 0)) return 'has not been looked at';
  return available >= replicas ? '' : `has ${available} of ${replicas} pods available`;
}

function daemonSetState({ status = {} }: GenericObject, nodes: number): string {
  const ready = count(status['numberReady']);
  return ready >= nodes ? '' : `has ${ready} of ${nodes} pods ready`;
}

function isReady({ status }: PodObject): boolean {
  if (status?.phase === 'Succeeded') return true;
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

function describePod({ metadata, spec, status }: PodObject): string {
  const where = spec.nodeName === undefined ? 'on no node' : `on ${spec.nodeName}`;
  const states = (status?.containerStatuses ?? []).map(({ name, state, restartCount }) => {
    const what =
      'waiting' in state
        ? `waiting (${state.waiting.reason}${state.waiting.message === undefined ? '' : `: ${state.waiting.message}`})`
        : 'terminated' in state
          ? `ended with ${state.terminated.exitCode}`
          : 'running, not ready';
    return `${name} ${what}${restartCount > 0 ? `, restarted ${restartCount}×` : ''}`;
  });
  return `pod ${metadata.namespace}/${metadata.name} ${where}: ${states.join('; ') || (status?.phase ?? 'unknown')}`;
}
