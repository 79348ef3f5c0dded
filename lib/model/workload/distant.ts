// SPDX-License-Identifier: Apache-2.0
//
// Workloads of other networks, seen from here: nobody can dial them, so all that stand behind one service in one
// network are told as one, which is reached through that network's gateway.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { type PortMapping, UNKNOWN_WORKLOAD, type Workload } from '#lib/mesh/workload.ts';
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
    ...UNKNOWN_WORKLOAD,
    uid,
    name: uid,
    namespace: service.slice(0, service.indexOf('/')),
    trustDomain: members[0]?.trustDomain ?? '',
    network,
    protocol: 'hbone',
    networkGateway: gatewayAddressOf(gateway),
    clusterId: gateway.clusterId,
    services: new Map([[service, [...ports.values()].sort((a, b) => a.servicePort - b.servicePort)]]),
    healthy: members.some(({ healthy }) => healthy),
    capacity: members.reduce((sum, { capacity }) => sum + capacity, 0),
  };
}

/** A gateway as the workload by which clients know its identity. */
export function gatewayWorkload(gateway: NetworkGateway, trustDomain: string): Workload {
  const { clusterId, destination, namespace, network, serviceAccount, uid } = gateway;
  return {
    ...UNKNOWN_WORKLOAD,
    uid,
    name: uid,
    namespace,
    serviceAccount,
    trustDomain,
    addresses: destination.kind === 'ip' ? [destination.ip] : [],
    hostname: destination.kind === 'hostname' ? destination.hostname : '',
    network,
    protocol: 'hbone',
    clusterId,
    nativeTunnel: true,
  };
}
