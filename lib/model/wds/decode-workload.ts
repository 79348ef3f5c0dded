// SPDX-License-Identifier: Apache-2.0
//
// A Workload message as a domain value, or everything that is wrong with it.

import { ok, type Problem, type Result } from '#lib/kit/result.ts';
import { DEFAULT_SERVICE_ACCOUNT, DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import { NO_LOCALITY, type PortMapping, type Workload } from '#lib/mesh/workload.ts';
import type { PortList, Workload as WorkloadMessage } from '#lib/proto/gen/workload_pb.ts';
import {
  APPLICATION_TUNNELS,
  HEALTHY,
  HOST_NETWORK,
  HTTP_METRICS_EXTENSION,
  SAME_NODE_EXTENSION,
  TUNNEL_PROTOCOLS,
  WORKLOAD_TYPES,
} from './enums.ts';
import { readEnum, readGateway, readIp } from './read.ts';

/** Cluster of a workload that names none. */
export const DEFAULT_CLUSTER = 'Kubernetes';

export function decodeWorkload(message: WorkloadMessage): Result<Workload> {
  const problems: Problem[] = [];
  const tunnel = message.applicationTunnel;
  const { locality } = message;
  const workload: Workload = {
    uid: message.uid,
    name: message.name,
    namespace: message.namespace,
    serviceAccount: message.serviceAccount || DEFAULT_SERVICE_ACCOUNT,
    trustDomain: message.trustDomain || DEFAULT_TRUST_DOMAIN,
    addresses: message.addresses.map((bytes, i) => readIp(bytes, `addresses[${i}]`, problems)),
    hostname: message.hostname,
    network: message.network,
    protocol: readEnum(TUNNEL_PROTOCOLS, message.tunnelProtocol, 'tunnel_protocol', problems),
    waypoint: readGateway(message.waypoint, 'waypoint', problems),
    networkGateway: readGateway(message.networkGateway, 'network_gateway', problems),
    node: message.node,
    clusterId: message.clusterId || DEFAULT_CLUSTER,
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadType: readEnum(WORKLOAD_TYPES, message.workloadType, 'workload_type', problems),
    workloadName: message.workloadName,
    nativeTunnel: message.nativeTunnel,
    applicationTunnel:
      tunnel === undefined
        ? undefined
        : {
            protocol: readEnum(APPLICATION_TUNNELS, tunnel.protocol, 'application_tunnel.protocol', problems),
            port: tunnel.port,
          },
    services: readServices(message.services, problems),
    authorizationPolicies: message.authorizationPolicies,
    healthy: readEnum(HEALTHY, message.status, 'status', problems),
    locality:
      locality === undefined
        ? NO_LOCALITY
        : { region: locality.region, zone: locality.zone, subzone: locality.subzone },
    hostNetwork: readEnum(HOST_NETWORK, message.networkMode, 'network_mode', problems),
    capacity: message.capacity ?? 1,
    sameNodeTunnel: message.extensions.some((extension) => extension.name === SAME_NODE_EXTENSION),
    httpMetrics: message.extensions.some((extension) => extension.name === HTTP_METRICS_EXTENSION),
  };
  if (workload.uid === '') problems.push({ field: 'uid', message: 'is empty', fix: 'send a unique id' });
  return problems.length === 0 ? ok(workload) : { ok: false, problems };
}

function readServices(
  services: { readonly [key: string]: PortList },
  problems: Problem[],
): ReadonlyMap<string, readonly PortMapping[]> {
  const out = new Map<string, readonly PortMapping[]>();
  for (const [key, list] of Object.entries(services)) {
    const slash = key.indexOf('/');
    if (slash <= 0 || slash === key.length - 1) {
      problems.push({ field: `services[${key}]`, message: 'is no service key', fix: 'write <namespace>/<hostname>' });
    }
    out.set(
      key,
      list.ports.map(({ servicePort, targetPort }) => ({ servicePort, targetPort })),
    );
  }
  return out;
}
