// SPDX-License-Identifier: Apache-2.0
// Mesh values as they lie in the shared store: JSON, which needs no library in the data-plane processes and is parsed by the
// engine itself. Both ends are of one build; a record that cannot be read is a bug of ours and throws.
import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import type { Condition } from '#lib/mesh/condition.ts';
import type { GatewayAddress, GatewayDestination } from '#lib/mesh/gateway-address.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { Clause, Match, Policy } from '#lib/mesh/policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';

/** A value after JSON: addresses and ranges are texts, maps are lists of pairs. */
type Plain<T> = T extends Ip | Cidr
  ? string
  : T extends ReadonlyMap<infer K, infer V>
    ? readonly (readonly [K, Plain<V>])[]
    : T extends readonly (infer E)[]
      ? readonly Plain<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Plain<T[K]> }
        : T;

export function encodeWorkload(workload: Workload): Buffer {
  return Buffer.from(JSON.stringify({ ...workload, services: [...workload.services] }));
}

export function decodeWorkload(text: string): Workload {
  const plain = JSON.parse(text) as Plain<Workload>;
  return {
    uid: plain.uid,
    name: plain.name,
    namespace: plain.namespace,
    serviceAccount: plain.serviceAccount,
    trustDomain: plain.trustDomain,
    addresses: plain.addresses.map(toIp),
    hostname: plain.hostname,
    network: plain.network,
    protocol: plain.protocol,
    waypoint: toGateway(plain.waypoint),
    networkGateway: toGateway(plain.networkGateway),
    node: plain.node,
    clusterId: plain.clusterId,
    canonicalName: plain.canonicalName,
    canonicalRevision: plain.canonicalRevision,
    workloadType: plain.workloadType,
    workloadName: plain.workloadName,
    nativeTunnel: plain.nativeTunnel,
    applicationTunnel: plain.applicationTunnel ?? undefined,
    services: new Map(plain.services),
    authorizationPolicies: plain.authorizationPolicies,
    healthy: plain.healthy,
    locality: plain.locality,
    hostNetwork: plain.hostNetwork,
    capacity: plain.capacity,
    sameNodeTunnel: plain.sameNodeTunnel,
    httpMetrics: plain.httpMetrics,
  };
}

export function encodeService(service: Service): Buffer {
  return Buffer.from(JSON.stringify(service));
}

export function decodeService(text: string): Service {
  const plain = JSON.parse(text) as Plain<Service>;
  return {
    key: plain.key,
    name: plain.name,
    namespace: plain.namespace,
    hostname: plain.hostname,
    vips: plain.vips.map(({ network, range }) => ({ network, range: toCidr(range) })),
    ports: plain.ports,
    subjectAltNames: plain.subjectAltNames,
    waypoint: toGateway(plain.waypoint),
    weightedWaypoints: plain.weightedWaypoints.map(({ address, weight }) => ({ address: toGateway(address)!, weight })),
    loadBalancing: plain.loadBalancing,
    ipFamilies: plain.ipFamilies,
    canonical: plain.canonical,
    visibility: plain.visibility,
    ingressUseWaypoint: plain.ingressUseWaypoint,
  };
}

export function encodePolicy(policy: Policy): Buffer {
  return Buffer.from(JSON.stringify(policy));
}

export function decodePolicy(text: string): Policy {
  const plain = JSON.parse(text) as Plain<Policy>;
  return {
    key: plain.key,
    namespace: plain.namespace,
    name: plain.name,
    scope: plain.scope,
    action: plain.action,
    dryRun: plain.dryRun,
    rules: plain.rules.map(({ clauses }) => ({ clauses: clauses.map(toClause) })),
  };
}

function toClause({ matches }: Plain<Clause>): Clause {
  return {
    matches: matches.map(
      (match): Match => ({
        namespaces: match.namespaces,
        principals: match.principals,
        serviceAccounts: match.serviceAccounts,
        sourceIps: toRanges(match.sourceIps),
        destinationIps: toRanges(match.destinationIps),
        destinationPorts: match.destinationPorts,
      }),
    ),
  };
}

function toRanges({ any, none }: Plain<Condition<Cidr>>): Condition<Cidr> {
  return { any: any.map(toCidr), none: none.map(toCidr) };
}

function toGateway(plain: Plain<GatewayAddress> | undefined): GatewayAddress | undefined {
  if (plain === undefined) return undefined;
  const from = plain.destination;
  const destination: GatewayDestination =
    from.kind === 'ip'
      ? { kind: 'ip', network: from.network, ip: toIp(from.ip) }
      : { kind: 'hostname', namespace: from.namespace, hostname: from.hostname };
  return { destination, hbonePort: plain.hbonePort };
}

function toIp(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new TypeError(`record holds ${JSON.stringify(text)} as an address`);
  return ip;
}

function toCidr(text: string): Cidr {
  const range = parseCidr(text);
  if (range === undefined) throw new TypeError(`record holds ${JSON.stringify(text)} as a range`);
  return range;
}
