// SPDX-License-Identifier: Apache-2.0
//
// Workloads, services and policies for tests, from the few fields a test cares about. Addresses, ranges, waypoints
// and string matches are given as text: `gateway('10.0.0.9:15008')`, `gateway('ns/host:15008')`, `match({...})`.

import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import type { Condition } from '#lib/mesh/condition.ts';
import type { GatewayAddress } from '#lib/mesh/gateway-address.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { EMPTY_MATCH, type Match, type Policy, type StringMatch } from '#lib/mesh/policy.ts';
import { ANY_ENDPOINT, type Service, serviceKey } from '#lib/mesh/service.ts';
import { type PortMapping, UNKNOWN_WORKLOAD, type Workload } from '#lib/mesh/workload.ts';

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no IP address`);
  return parsed;
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${text} is no address range`);
  return parsed;
}

/** `[network|]ip:port` or `namespace/hostname:port`. */
export function gateway(text: string): GatewayAddress {
  const colon = text.lastIndexOf(':');
  const hbonePort = Number(text.slice(colon + 1));
  const place = text.slice(0, colon);
  const slash = place.indexOf('/');
  if (slash >= 0) {
    const destination = {
      kind: 'hostname' as const,
      namespace: place.slice(0, slash),
      hostname: place.slice(slash + 1),
    };
    return { destination, hbonePort };
  }
  const bar = place.indexOf('|');
  const network = bar < 0 ? '' : place.slice(0, bar);
  return {
    destination: { kind: 'ip', network, ip: ip(place.slice(bar + 1).replace(/^\[|\]$/g, '')) },
    hbonePort,
  };
}

/** Ports as `{ servicePort: targetPort }`. */
export type Ports = Readonly<Record<string, number>>;

export function portMappings(ports: Ports): PortMapping[] {
  return Object.entries(ports).map(([servicePort, targetPort]) => ({ servicePort: Number(servicePort), targetPort }));
}

export type WorkloadText = Partial<Omit<Workload, 'addresses' | 'waypoint' | 'networkGateway' | 'services'>> & {
  readonly ips?: readonly string[];
  readonly waypoint?: string;
  readonly networkGateway?: string;
  readonly serves?: Readonly<Record<string, Ports>>;
};

/** A healthy pod of namespace `default` that speaks HBONE, unless told otherwise. */
export function workload(fields: WorkloadText = {}): Workload {
  const { ips = [], waypoint, networkGateway, serves = {}, ...rest } = fields;
  const name = fields.name ?? 'pod';
  const namespace = fields.namespace ?? 'default';
  return {
    ...UNKNOWN_WORKLOAD,
    uid: `Kubernetes//Pod/${namespace}/${name}`,
    name,
    namespace,
    serviceAccount: 'default',
    trustDomain: 'cluster.local',
    protocol: 'hbone',
    clusterId: 'Kubernetes',
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    ...rest,
    addresses: ips.map(ip),
    waypoint: waypoint === undefined ? undefined : gateway(waypoint),
    networkGateway: networkGateway === undefined ? undefined : gateway(networkGateway),
    services: new Map(Object.entries(serves).map(([key, ports]) => [key, portMappings(ports)])),
  };
}

export type ServiceText = Partial<Omit<Service, 'vips' | 'ports' | 'waypoint' | 'weightedWaypoints' | 'key'>> & {
  /** `[network|]ip` or `[network|]range`. */
  readonly vips?: readonly string[];
  readonly ports?: Ports;
  readonly waypoint?: string;
  readonly weightedWaypoints?: readonly { readonly address: string; readonly weight: number }[];
};

export function service(fields: ServiceText = {}): Service {
  const { vips = [], ports = {}, waypoint, weightedWaypoints = [], ...rest } = fields;
  const name = fields.name ?? 'service';
  const namespace = fields.namespace ?? 'default';
  const hostname = fields.hostname ?? `${name}.${namespace}.svc.cluster.local`;
  return {
    name,
    namespace,
    hostname,
    key: serviceKey(namespace, hostname),
    subjectAltNames: [],
    loadBalancing: ANY_ENDPOINT,
    ipFamilies: 'automatic',
    canonical: true,
    visibility: 'public',
    ingressUseWaypoint: false,
    ...rest,
    vips: vips.map((text) => {
      const bar = text.indexOf('|');
      return { network: bar < 0 ? '' : text.slice(0, bar), range: cidr(text.slice(bar + 1)) };
    }),
    ports: portMappings(ports).map((port) => ({ ...port, appProtocol: 'unknown' as const })),
    waypoint: waypoint === undefined ? undefined : gateway(waypoint),
    weightedWaypoints: weightedWaypoints.map(({ address, weight }) => ({ address: gateway(address), weight })),
  };
}

/** Lists of text; `*` is presence, `x*` a prefix, `*x` a suffix; service accounts are `namespace/name`. */
export type MatchText = Partial<
  Record<
    | 'namespaces'
    | 'notNamespaces'
    | 'principals'
    | 'notPrincipals'
    | 'serviceAccounts'
    | 'notServiceAccounts'
    | 'sourceIps'
    | 'notSourceIps'
    | 'destinationIps'
    | 'notDestinationIps',
    readonly string[]
  >
> & { readonly destinationPorts?: readonly number[]; readonly notDestinationPorts?: readonly number[] };

export function stringMatch(text: string): StringMatch {
  if (text === '*') return { kind: 'presence', value: '' };
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) };
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) };
  return { kind: 'exact', value: text };
}

export function match(fields: MatchText): Match {
  const both = <T>(
    any: readonly string[] | undefined,
    none: readonly string[] | undefined,
    make: (text: string) => T,
  ): Condition<T> => ({ any: (any ?? []).map(make), none: (none ?? []).map(make) });
  const account = (text: string) => {
    const [namespace = '', serviceAccount = ''] = text.split('/');
    return { namespace, serviceAccount };
  };
  return {
    ...EMPTY_MATCH,
    namespaces: both(fields.namespaces, fields.notNamespaces, stringMatch),
    principals: both(fields.principals, fields.notPrincipals, stringMatch),
    serviceAccounts: both(fields.serviceAccounts, fields.notServiceAccounts, account),
    sourceIps: both(fields.sourceIps, fields.notSourceIps, cidr),
    destinationIps: both(fields.destinationIps, fields.notDestinationIps, cidr),
    destinationPorts: { any: fields.destinationPorts ?? [], none: fields.notDestinationPorts ?? [] },
  };
}

export type PolicyText = Partial<Omit<Policy, 'rules' | 'key'>> & {
  /** Rules of clauses of matches. */
  readonly rules?: readonly (readonly (readonly MatchText[])[])[];
};

/** An ALLOW policy of namespace scope in `default` without rules, unless told otherwise. */
export function policy(fields: PolicyText = {}): Policy {
  const { rules = [], ...rest } = fields;
  const name = fields.name ?? 'policy';
  const namespace = fields.namespace ?? 'default';
  return {
    key: `${namespace}/${name}`,
    name,
    namespace,
    scope: 'namespace',
    action: 'allow',
    dryRun: false,
    ...rest,
    rules: rules.map((clauses) => ({ clauses: clauses.map((matches) => ({ matches: matches.map(match) })) })),
  };
}

export function mesh(content: {
  readonly workloads?: readonly WorkloadText[];
  readonly services?: readonly ServiceText[];
  readonly policies?: readonly PolicyText[];
}): MapMesh {
  const map = new MapMesh();
  for (const one of content.workloads ?? []) map.putWorkload(workload(one));
  for (const one of content.services ?? []) map.putService(service(one));
  for (const one of content.policies ?? []) map.putPolicy(policy(one));
  return map;
}
