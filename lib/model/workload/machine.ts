// SPDX-License-Identifier: Apache-2.0
//
// Workloads that are no pods: a WorkloadEntry, or an endpoint written into a ServiceEntry. Everything that needs only
// the object itself; what depends on others is passed in.

import { parseIp } from '#lib/mesh/ip.ts';
import { type Locality, NO_LOCALITY, type Workload } from '#lib/mesh/workload.ts';
import type { WorkloadEntry, WorkloadSpec } from '../object/entry.ts';
import * as names from '../object/names.ts';
import { annotation, type Condition, type KubeObject, label, labelsOf, namespaceOf } from '../object/object.ts';
import type { Labels } from '../object/selector.ts';
import type { Place } from '../scope.ts';
import { canonicalOf, tunnelOf } from './naming.ts';

/** What other objects contribute. */
export type MachineSurroundings = Pick<
  Workload,
  'trustDomain' | 'services' | 'waypoint' | 'networkGateway' | 'authorizationPolicies' | 'applicationTunnel'
> &
  Place &
  Pick<Workload, 'sameNodeTunnel' | 'httpMetrics'>;

/** Name of the annotation by which auto-registration marks what it made. */
export const AUTO_REGISTRATION_GROUP = 'istio.io/autoRegistrationGroup';

/** Labels of an entry: those of its metadata, and over them those of its spec. */
export function entryLabels(entry: WorkloadEntry): Labels {
  return { ...labelsOf(entry), ...entry.spec?.labels };
}

/** Whether an address is one that connections can be sent to: no path of a Unix socket. */
export function isReachable(address: string | undefined): boolean {
  return address === undefined || !address.startsWith('unix://');
}

export function entryUid(entry: WorkloadEntry, clusterId: string): string {
  return `${clusterId}/networking.istio.io/WorkloadEntry/${namespaceOf(entry)}/${entry.metadata.name}`;
}

/** @param judgesHealth whether the condition `Healthy` counts */
export function entryWorkload(entry: WorkloadEntry, around: MachineSurroundings, judgesHealth: boolean): Workload {
  const workloadName =
    annotation(entry, AUTO_REGISTRATION_GROUP) ?? label(entry, names.WORKLOAD_NAME) ?? entry.metadata.name;
  return machine(entry, entry.spec ?? {}, around, {
    uid: entryUid(entry, around.clusterId),
    labels: entryLabels(entry),
    workloadName,
    healthy: !judgesHealth || isHealthy(entry),
  });
}

/** One endpoint of a ServiceEntry; `address` is an IP address or a host name. */
export function endpointWorkload(object: KubeObject, spec: WorkloadSpec, around: MachineSurroundings): Workload {
  const { name } = object.metadata;
  return machine(object, spec, around, {
    uid: `${around.clusterId}/networking.istio.io/ServiceEntry/${namespaceOf(object)}/${name}/${spec.address ?? ''}`,
    labels: labelsOf(object),
    workloadName: name,
    healthy: true,
  });
}

interface Naming {
  readonly uid: string;
  readonly labels: Labels;
  readonly workloadName: string;
  readonly healthy: boolean;
}

function machine(object: KubeObject, spec: WorkloadSpec, around: MachineSurroundings, naming: Naming): Workload {
  const ip = parseIp(spec.address ?? '');
  const { healthy, labels, uid, workloadName } = naming;
  return {
    uid,
    name: object.metadata.name,
    namespace: namespaceOf(object),
    serviceAccount: spec.serviceAccount ?? '',
    trustDomain: around.trustDomain,
    addresses: ip === undefined ? [] : [ip],
    hostname: ip === undefined ? (spec.address ?? '') : '',
    network: around.network,
    waypoint: around.waypoint,
    networkGateway: around.networkGateway,
    node: '',
    clusterId: around.clusterId,
    ...canonicalOf(labels, workloadName),
    ...tunnelOf(labels, object.metadata.annotations ?? {}),
    workloadType: 'pod',
    workloadName,
    applicationTunnel: around.applicationTunnel,
    services: around.services,
    authorizationPolicies: around.authorizationPolicies,
    healthy,
    locality: localityIn(spec.locality),
    hostNetwork: false,
    capacity: spec.weight !== undefined && spec.weight > 0 ? spec.weight : 1,
    sameNodeTunnel: around.sameNodeTunnel,
    httpMetrics: around.httpMetrics,
  };
}

/** `region/zone/subzone`; what is left out is unknown. */
function localityIn(text: string | undefined): Locality {
  if (text === undefined || text === '') return NO_LOCALITY;
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

/** A probe that failed speaks against it; no word of a probe does not. */
function isHealthy(entry: WorkloadEntry): boolean {
  const conditions = entry.status?.['conditions'];
  if (!Array.isArray(conditions)) return true;
  return !(conditions as Condition[]).some(({ status, type }) => type === 'Healthy' && status === 'False');
}

const MAX_NAME = 253;

/** Name of the entry of a machine that registers: `<group>-<address>[-<network>]`, the end of it where that is too long for a name. */
export function registeredName(group: string, address: string, network: string): string {
  const parts = [group, address.replaceAll(':', '-'), ...(network === '' ? [] : [network])];
  return parts
    .join('-')
    .slice(-MAX_NAME)
    .replace(/^[-.]+/, '');
}
