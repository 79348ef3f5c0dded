// SPDX-License-Identifier: Apache-2.0
//
// A Pod as a Workload: everything that needs only the pod itself. What depends on other objects (place, services,
// waypoint, policies) is passed in.

import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import * as names from '../object/names.ts';
import { labelsOf, namespaceOf, type Pod } from '../object/object.ts';
import { canonicalOf, tunnelOf } from './naming.ts';
import { ownerName } from './owner.ts';

/** What other objects contribute to a pod's workload. */
export type PodSurroundings = Pick<
  Workload,
  | 'network'
  | 'clusterId'
  | 'trustDomain'
  | 'locality'
  | 'services'
  | 'waypoint'
  | 'applicationTunnel'
  | 'authorizationPolicies'
  | 'sameNodeTunnel'
  | 'httpMetrics'
  | 'networkGateway'
>;

/** Addresses of a pod that counts; none when it has ended or has no address yet. */
export function podAddresses(pod: Pod): readonly Ip[] {
  const phase = pod.status?.phase;
  if (phase === 'Failed' || phase === 'Succeeded') return [];
  const listed = pod.status?.podIPs?.map((one) => one.ip ?? '') ?? [];
  const texts = listed.length > 0 ? listed : [pod.status?.podIP ?? ''];
  // A filtered list keeps room for more; a copy has none, which counts where a hundred thousand are kept.
  return texts
    .map(parseIp)
    .filter((ip) => ip !== undefined)
    .slice();
}

export function podUid(pod: Pod, clusterId: string): string {
  return `${clusterId}//Pod/${namespaceOf(pod)}/${pod.metadata.name}`;
}

export function serviceAccountOf(pod: Pod): string {
  return pod.spec?.serviceAccountName || 'default';
}

/** Ready and not on its way out. */
function isHealthy(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  return pod.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
}

export function podWorkload(pod: Pod, around: PodSurroundings): Workload | undefined {
  const addresses = podAddresses(pod);
  if (addresses.length === 0) return undefined;
  const labels = labelsOf(pod);
  const { name } = pod.metadata;
  const workloadName = labels[names.WORKLOAD_NAME] ?? ownerName(pod) ?? name;
  return {
    uid: podUid(pod, around.clusterId),
    name,
    namespace: namespaceOf(pod),
    serviceAccount: serviceAccountOf(pod),
    addresses,
    hostname: '',
    ...tunnelOf(labels, pod.metadata.annotations ?? {}),
    node: pod.spec?.nodeName ?? '',
    ...canonicalOf(labels, workloadName),
    workloadType: 'pod',
    workloadName,
    healthy: isHealthy(pod),
    hostNetwork: pod.spec?.hostNetwork === true,
    capacity: 1,
    ...around,
  };
}
