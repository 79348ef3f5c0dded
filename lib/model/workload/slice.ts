// SPDX-License-Identifier: Apache-2.0
//
// Workloads from EndpointSlices whose endpoints are no pods: machines beside the cluster, an API server. They are
// reached plainly and have no identity.

import { parseIp } from '#lib/mesh/ip.ts';
import { NO_LOCALITY, type PortMapping, type Workload } from '#lib/mesh/workload.ts';
import { type EndpointSlice, namespaceOf, type SliceEndpoint } from '../object/object.ts';
import type { ServiceSelector } from './membership.ts';

export interface SliceSurroundings {
  readonly clusterId: string;
  readonly network: string;
  readonly trustDomain: string;
}

/** One workload for each address that no pod owns, by uid. */
export function sliceWorkloads(
  slice: EndpointSlice,
  service: ServiceSelector,
  around: SliceSurroundings,
): (readonly [string, Workload])[] {
  if (slice.addressType !== 'IPv4' && slice.addressType !== 'IPv6') return [];
  const ports = slicePorts(slice, service);
  return (slice.endpoints ?? []).flatMap((endpoint) =>
    endpoint.targetRef?.kind === 'Pod'
      ? []
      : (endpoint.addresses ?? []).flatMap((address) => {
          const workload = sliceWorkload(slice, endpoint, address, ports, service, around);
          return workload === undefined ? [] : [[workload.uid, workload] as const];
        }),
  );
}

/** TCP ports of the slice, matched to the Service's by name. */
function slicePorts(slice: EndpointSlice, service: ServiceSelector): PortMapping[] {
  return (slice.ports ?? []).flatMap((port) => {
    if ((port.protocol ?? 'TCP') !== 'TCP' || port.port === undefined) return [];
    const same = service.ports.find((one) => (one.name ?? '') === (port.name ?? ''));
    return same === undefined ? [] : [{ servicePort: same.port, targetPort: port.port }];
  });
}

function sliceWorkload(
  slice: EndpointSlice,
  endpoint: SliceEndpoint,
  address: string,
  ports: readonly PortMapping[],
  service: ServiceSelector,
  around: SliceSurroundings,
): Workload | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  const namespace = namespaceOf(slice);
  const { name } = slice.metadata;
  return {
    uid: `${around.clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${ip.text}`,
    name,
    namespace,
    serviceAccount: '',
    trustDomain: around.trustDomain,
    addresses: [ip],
    hostname: '',
    network: around.network,
    protocol: 'none',
    waypoint: undefined,
    networkGateway: undefined,
    node: '',
    clusterId: around.clusterId,
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'deployment',
    workloadName: '',
    nativeTunnel: false,
    applicationTunnel: undefined,
    services: new Map([[service.key, ports]]),
    authorizationPolicies: [],
    healthy: endpoint.conditions?.ready !== false,
    locality: NO_LOCALITY,
    // Found as an endpoint only: its address may be a node's.
    hostNetwork: true,
    capacity: 1,
    sameNodeTunnel: false,
    httpMetrics: false,
  };
}
