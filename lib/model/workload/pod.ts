// SPDX-License-Identifier: Apache-2.0
//
// A Pod as a Workload: everything that needs only the pod itself. What depends on other objects (place, services,
// waypoint, policies) is passed in.

import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import * as names from '../object/names.ts';
import { annotation, label, labelsOf, namespaceOf, type Pod } from '../object/object.ts';
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
>;

/** Addresses of a pod that counts; none when it has ended or has no address yet. */
export function podAddresses(pod: Pod): readonly Ip[] {
  const phase = pod.status?.phase;
  if (phase === 'Failed' || phase === 'Succeeded') return [];
  const listed = pod.status?.podIPs?.map((one) => one.ip ?? '') ?? [];
  const texts = listed.length > 0 ? listed : [pod.status?.podIP ?? ''];
  return texts.map(parseIp).filter((ip) => ip !== undefined);
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

/** How it is reached: by the agent's annotation, or because it ends tunnels itself. The label alone says nothing. */
function tunnelOf(pod: Pod): { protocol: Workload['protocol']; native: boolean } {
  const native = label(pod, names.TUNNEL)
    ?.split(',')
    .some((one) => one.trim() === 'http');
  if (native === true) return { protocol: 'hbone', native: true };
  return { protocol: annotation(pod, names.REDIRECTION) === 'enabled' ? 'hbone' : 'none', native: false };
}

export function podWorkload(pod: Pod, around: PodSurroundings): Workload | undefined {
  const addresses = podAddresses(pod);
  if (addresses.length === 0) return undefined;
  const labels = labelsOf(pod);
  const { name } = pod.metadata;
  const workloadName = labels[names.WORKLOAD_NAME] ?? ownerName(pod) ?? name;
  const { protocol, native } = tunnelOf(pod);
  return {
    uid: podUid(pod, around.clusterId),
    name,
    namespace: namespaceOf(pod),
    serviceAccount: serviceAccountOf(pod),
    addresses,
    hostname: '',
    protocol,
    networkGateway: undefined,
    node: pod.spec?.nodeName ?? '',
    canonicalName: labels[names.CANONICAL_NAME] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? workloadName,
    canonicalRevision:
      labels[names.CANONICAL_REVISION] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest',
    workloadType: 'pod',
    workloadName,
    nativeTunnel: native,
    healthy: isHealthy(pod),
    hostNetwork: pod.spec?.hostNetwork === true,
    capacity: 1,
    ...around,
  };
}
