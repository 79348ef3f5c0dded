// SPDX-License-Identifier: Apache-2.0
//
// A Service message as a domain value, or everything that is wrong with it.

import { ok, type Problem, type Result } from '#lib/kit/result.ts';
import type { WeightedWaypoint } from '#lib/mesh/gateway-address.ts';
import { ANY_ENDPOINT, type LoadBalancing, type Service, serviceKey } from '#lib/mesh/service.ts';
import type {
  LoadBalancing as LoadBalancingMessage,
  Service as ServiceMessage,
  WeightedWaypoint as WeightedMessage,
} from '#lib/proto/gen/workload_pb.ts';
import { ALLOW_UNHEALTHY, APP_PROTOCOLS, IP_FAMILIES, MODES, SCOPES, VISIBILITIES } from './enums.ts';
import { readEnum, readGateway, readRange } from './read.ts';

export function decodeService(message: ServiceMessage): Result<Service> {
  const problems: Problem[] = [];
  const service: Service = {
    key: serviceKey(message.namespace, message.hostname),
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    vips: message.addresses.map(({ network, address, length }, i) => ({
      network,
      range: readRange(address, length, `addresses[${i}]`, problems),
    })),
    ports: message.ports.map(({ servicePort, targetPort, appProtocol }) => ({
      servicePort,
      targetPort,
      // Only layer 7 reads it: a protocol that is new to us is an unknown one.
      appProtocol: APP_PROTOCOLS[appProtocol] ?? 'unknown',
    })),
    subjectAltNames: message.subjectAltNames,
    waypoint: readGateway(message.waypoint, 'waypoint', problems),
    weightedWaypoints: message.weightedWaypoints.flatMap((one, i) => readWeighted(one, i, problems)),
    loadBalancing: readLoadBalancing(message.loadBalancing, problems),
    ipFamilies: readEnum(IP_FAMILIES, message.ipFamilies, 'ip_families', problems),
    canonical: message.canonical,
    visibility: VISIBILITIES[message.visibility] ?? 'public',
    ingressUseWaypoint: message.ingressUseWaypoint,
  };
  if (service.hostname === '') problems.push({ field: 'hostname', message: 'is empty', fix: 'send the host name' });
  return problems.length === 0 ? ok(service) : { ok: false, problems };
}

function readWeighted(message: WeightedMessage, index: number, problems: Problem[]): WeightedWaypoint[] {
  const field = `weighted_waypoints[${index}].destination`;
  if (message.destination === undefined) {
    problems.push({ field, message: 'is missing', fix: 'set the waypoint' });
    return [];
  }
  const address = readGateway(message.destination, field, problems);
  return address === undefined ? [] : [{ address, weight: message.weight }];
}

function readLoadBalancing(message: LoadBalancingMessage | undefined, problems: Problem[]): LoadBalancing {
  if (message === undefined) return ANY_ENDPOINT;
  return {
    mode: readEnum(MODES, message.mode, 'load_balancing.mode', problems),
    scopes: message.routingPreference.map((scope, i) =>
      readEnum(SCOPES, scope, `load_balancing.routing_preference[${i}]`, problems),
    ),
    allowUnhealthy: readEnum(ALLOW_UNHEALTHY, message.healthPolicy, 'load_balancing.health_policy', problems),
  };
}
