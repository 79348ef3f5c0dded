// SPDX-License-Identifier: Apache-2.0
//
// Workloads of other networks, seen from here: nobody can dial them, so all that stand behind one service in one
// network are told as one, which is reached through that network's gateway.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { NO_LOCALITY, type PortMapping, type Workload } from '#lib/mesh/workload.ts';
import { gatewayAddressOf, type NetworkGateway, type NetworkGateways } from '../waypoint/network-gateway.ts';

/** One for each network and service, by uid; none where the network has no gateway. */
export function coalesce(graph: Graph, distant: Collection<Workload>, gateways: NetworkGateways): Collection<Workload> {
  const byService = graph.index('distant workloads by network and service', distant, ({ network, services }) =>
    [...services.keys()].map((key) => `${network} ${key}`),
  );
  const grouped = graph.group('split horizon', byService, (members, key, fetch): Workload | undefined => {
    const space = key.indexOf(' ');
    const gateway = gateways.of(key.slice(0, space), fetch, true);
    return gateway === undefined ? undefined : splitHorizon(gateway, key.slice(space + 1), members);
  });
  return graph.flatMap('split horizon workloads', grouped, (workload) => [[workload.uid, workload]]);
}

function splitHorizon(gateway: NetworkGateway, service: string, members: readonly Workload[]): Workload {
  const { destination, network } = gateway;
  const at = destination.kind === 'ip' ? destination.ip.text : destination.hostname;
  const uid = `${network}/SplitHorizonWorkload/${gateway.namespace}/${gateway.name}/${at}/${service}`;
  const ports = new Map<number, PortMapping>();
  for (const member of members) {
    for (const port of member.services.get(service) ?? []) ports.set(port.servicePort, port);
  }
  return {
    uid,
    name: uid,
    namespace: service.slice(0, service.indexOf('/')),
    serviceAccount: '',
    trustDomain: members[0]?.trustDomain ?? '',
    addresses: [],
    hostname: '',
    network,
    protocol: 'hbone',
    waypoint: undefined,
    networkGateway: gatewayAddressOf(gateway),
    node: '',
    clusterId: gateway.clusterId,
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'pod',
    workloadName: '',
    nativeTunnel: false,
    applicationTunnel: undefined,
    services: new Map([[service, [...ports.values()].sort((a, b) => a.servicePort - b.servicePort)]]),
    authorizationPolicies: [],
    healthy: members.some(({ healthy }) => healthy),
    locality: NO_LOCALITY,
    hostNetwork: false,
    capacity: members.reduce((sum, { capacity }) => sum + capacity, 0),
    sameNodeTunnel: false,
    httpMetrics: false,
  };
}

/** A gateway as the workload by which clients know its identity. */
export function gatewayWorkload(gateway: NetworkGateway, trustDomain: string): Workload {
  const { clusterId, destination, namespace, network, serviceAccount, uid } = gateway;
  return {
    uid,
    name: uid,
    namespace,
    serviceAccount,
    trustDomain,
    addresses: destination.kind === 'ip' ? [destination.ip] : [],
    hostname: destination.kind === 'hostname' ? destination.hostname : '',
    network,
    protocol: 'hbone',
    waypoint: undefined,
    networkGateway: undefined,
    node: '',
    clusterId,
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'pod',
    workloadName: '',
    nativeTunnel: true,
    applicationTunnel: undefined,
    services: new Map(),
    authorizationPolicies: [],
    healthy: true,
    locality: NO_LOCALITY,
    hostNetwork: false,
    capacity: 1,
    sameNodeTunnel: false,
    httpMetrics: false,
  };
}
