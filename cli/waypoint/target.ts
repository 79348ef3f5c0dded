// SPDX-License-Identifier: Apache-2.0
// Which waypoint to ask: a pod by its name, or any running one of a Gateway.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type Cluster, findPod } from '../cluster.ts';

/** Label of a waypoint's pods. */
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';

/** In a word: its phase, or that it is ending. */
export function stateOf({ deletionTimestamp }: Pod['metadata'], phase = 'Pending'): string {
  return deletionTimestamp === undefined ? phase : 'ending';
}

/** @param text a pod as `name`, `namespace/name` or `name.namespace`, or a waypoint as `name` or `namespace/name` */
export async function waypointPod(cluster: Cluster, text: string): Promise<Pod> {
  const slash = text.indexOf('/');
  const [namespace, name] = slash < 0 ? [cluster.namespace, text] : [text.slice(0, slash), text.slice(slash + 1)];
  const pods = await cluster.pods(namespace, `${GATEWAY_NAME}=${name}`);
  const running = pods.find(({ metadata, status }) => status?.phase === 'Running' && !metadata.deletionTimestamp);
  if (running !== undefined) return running;
  if (pods.length > 0) {
    const states = pods.map(({ metadata, status }) => `${metadata.name} is ${stateOf(metadata, status?.phase)}`);
    throw new AmbitError(
      'WAYPOINT_NOT_RUNNING',
      `waypoint ${namespace}/${name} has no running pod: ${states.join(', ')}`,
      {
        advice: 'ambit kubectl describe pod, or ambit waypoint status, says why',
      },
    );
  }
  const pod = await findPod(cluster, text).catch((error: unknown) => {
    if (!(error instanceof AmbitError) || error.code !== 'POD_NOT_FOUND') throw error;
    throw new AmbitError('WAYPOINT_NOT_FOUND', `no waypoint with pods and no pod ${name} in namespace ${namespace}`, {
      advice: 'ambit waypoint list -A shows all; -n, or namespace/name, says in which namespace to look',
    });
  });
  if (pod.metadata.labels?.[GATEWAY_NAME] !== undefined) return pod;
  throw new AmbitError('WAYPOINT_NOT_FOUND', `pod ${pod.metadata.namespace}/${pod.metadata.name} is no waypoint`, {
    advice: 'name a waypoint, or a pod of one; ambit ztunnel-config shows node proxies',
  });
}
