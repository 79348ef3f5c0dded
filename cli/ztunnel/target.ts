// SPDX-License-Identifier: Apache-2.0
// Which node proxy to ask: the one named, the one of a node, the one on a workload's node, or any.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type Cluster, findPod } from '../cluster.ts';

const SELECTOR = 'app=ztunnel';

/** Node proxies of the mesh, by name. */
export async function ztunnels(cluster: Cluster): Promise<readonly Pod[]> {
  const found = [...(await cluster.pods(cluster.istioNamespace, SELECTOR))].filter(runs);
  if (found.length === 0) {
    throw new AmbitError('ZTUNNEL_NOT_FOUND', `no running pod with ${SELECTOR} in ${cluster.istioNamespace}`, {
      advice:
        'check that the mesh is installed, or name its namespace with -i; without one, pods in the mesh have no way in or out',
    });
  }
  return found.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** The node proxy of a node. */
export async function ztunnelOfNode(cluster: Cluster, node: string): Promise<Pod> {
  const found = (await ztunnels(cluster)).find(({ spec }) => spec?.nodeName === node);
  if (found !== undefined) return found;
  throw new AmbitError('ZTUNNEL_NOT_FOUND', `no running ztunnel on node ${node}`, {
    advice: `pods in the mesh have no way in or out there until one runs; see kubectl -n ${cluster.istioNamespace} get pods -l ${SELECTOR} -o wide`,
  });
}

/** The proxy meant by a pod's name: itself when it is one, else the one on the pod's node. */
export async function ztunnelFor(cluster: Cluster, text: string): Promise<Pod> {
  const proxies = await ztunnels(cluster);
  const direct = proxies.find(
    ({ metadata }) => metadata.name === text || `${metadata.namespace}/${metadata.name}` === text,
  );
  if (direct !== undefined) return direct;
  return await ztunnelOfNode(cluster, nodeOf(await findPod(cluster, text)));
}

/** Where a pod runs. Throws POD_NOT_SCHEDULED. */
export function nodeOf(pod: Pod): string {
  const node = pod.spec?.nodeName ?? '';
  if (node !== '') return node;
  throw new AmbitError('POD_NOT_SCHEDULED', `pod ${pod.metadata.namespace}/${pod.metadata.name} runs on no node yet`);
}

function runs(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && pod.metadata.deletionTimestamp === undefined;
}
