// SPDX-License-Identifier: Apache-2.0
//
// A Kubernetes Service, or a host of a ServiceEntry, as a service of the mesh.

import { Cidr } from '#lib/mesh/cidr.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { IpFamilies, Service as MeshService, Vip } from '#lib/mesh/service.ts';
import { serviceKey } from '#lib/mesh/service.ts';
import { type Namespace, namespaceOf, type Service } from '../object/object.ts';
import { hostnameOf } from '../workload/membership.ts';
import { appProtocolOf, protocolByName } from './app-protocol.ts';
import { entryPorts, entryVips, resolutionOf, type WinningHost } from './entry-hosts.ts';
import { entryLoadBalancing, loadBalancingOf } from './traffic-distribution.ts';

/** What other objects contribute to a service. */
export type ServiceSurroundings = Pick<MeshService, 'waypoint' | 'weightedWaypoints' | 'ingressUseWaypoint'> & {
  readonly network: string;
  readonly domain: string;
  readonly namespace: Namespace | undefined;
};

/** undefined for ExternalName, which is an alias in DNS and nothing else. */
export function meshService(service: Service, around: ServiceSurroundings): MeshService | undefined {
  if (service.spec?.type === 'ExternalName') return undefined;
  const namespace = namespaceOf(service);
  const hostname = hostnameOf(service.metadata.name, namespace, around.domain);
  return {
    key: serviceKey(namespace, hostname),
    name: service.metadata.name,
    namespace,
    hostname,
    vips: vipsOf(service, around.network),
    ports: (service.spec?.ports ?? []).map((port) => ({
      servicePort: port.port,
      targetPort: targetPortOf(port.targetPort, port.port),
      appProtocol: appProtocolOf(port),
    })),
    subjectAltNames: [],
    waypoint: around.waypoint,
    weightedWaypoints: around.weightedWaypoints,
    loadBalancing: loadBalancingOf(service, around.namespace),
    ipFamilies: familiesOf(service.spec?.ipFamilies ?? []),
    canonical: true,
    visibility: 'public',
    ingressUseWaypoint: around.ingressUseWaypoint,
  };
}

/** The service that a ServiceEntry's host stands for. */
export function entryService(
  { canonical, entry, host, key, visibility }: WinningHost,
  around: ServiceSurroundings,
): MeshService {
  return {
    key,
    name: entry.metadata.name,
    namespace: namespaceOf(entry),
    hostname: host,
    vips: entryVips(entry, host, around.network),
    ports: entryPorts(entry).map(({ number, protocol, targetPort }) => ({
      servicePort: number,
      targetPort: targetPort === undefined || targetPort === 0 ? number : targetPort,
      appProtocol: protocolByName(protocol),
    })),
    subjectAltNames: [...(entry.spec?.subjectAltNames ?? [])],
    waypoint: around.waypoint,
    weightedWaypoints: around.weightedWaypoints,
    loadBalancing: entryLoadBalancing(entry, resolutionOf(entry), around.namespace),
    ipFamilies: 'automatic',
    canonical,
    visibility,
    ingressUseWaypoint: around.ingressUseWaypoint,
  };
}

/** 0 for a named port, which each endpoint resolves for itself. */
function targetPortOf(target: number | string | undefined, port: number): number {
  if (typeof target === 'string') return /^\d+$/.test(target) ? Number(target) : 0;
  return target === undefined || target === 0 ? port : target;
}

function vipsOf(service: Service, network: string): Vip[] {
  const { clusterIPs, clusterIP } = service.spec ?? {};
  const texts = clusterIPs !== undefined && clusterIPs.length > 0 ? clusterIPs : [clusterIP ?? ''];
  return texts.flatMap((text) => {
    const ip = parseIp(text);
    return ip === undefined ? [] : [{ network, range: new Cidr(ip, ip.family === 4 ? 32 : 128) }];
  });
}

function familiesOf(families: readonly string[]): IpFamilies {
  if (families.length > 1) return 'dual';
  switch (families[0]) {
    case 'IPv4':
      return 'ipv4';
    case 'IPv6':
      return 'ipv6';
    default:
      return 'automatic';
  }
}
