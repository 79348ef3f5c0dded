// SPDX-License-Identifier: Apache-2.0
//
// Domain values as WDS resources: name, bytes, version. Equal values give equal bytes (maps are written in key order),
// so the version, a digest of the bytes, changes exactly when a client has something to learn.

import { createHash } from 'node:crypto';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Cidr } from '#lib/mesh/cidr.ts';
import type { GatewayAddress } from '#lib/mesh/gateway-address.ts';
import { DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import type { Match, Policy, StringMatch } from '#lib/mesh/policy.ts';
import { ANY_ENDPOINT, type LoadBalancing, type Service } from '#lib/mesh/service.ts';
import type { PortMapping, Workload } from '#lib/mesh/workload.ts';
import { AuthorizationSchema, type MatchSchema, type StringMatchSchema } from '#lib/proto/gen/authorization_pb.ts';
import {
  AddressSchema,
  type GatewayAddressSchema,
  type LoadBalancingSchema,
  type PortSchema,
  type ServiceSchema,
  type WorkloadSchema,
} from '#lib/proto/gen/workload_pb.ts';
import {
  ALLOW_UNHEALTHY,
  APP_PROTOCOLS,
  APPLICATION_TUNNELS,
  HEALTHY,
  HOST_NETWORK,
  HTTP_METRICS_EXTENSION,
  IP_FAMILIES,
  MODES,
  numberOf,
  POLICY_ACTIONS,
  POLICY_SCOPES,
  SAME_NODE_EXTENSION,
  SCOPES,
  TUNNEL_PROTOCOLS,
  VISIBILITIES,
  WORKLOAD_TYPES,
} from './enums.ts';

/** A resource ready to be served. */
export interface EncodedResource {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** 16 hexadecimal digits of the SHA-256 of `bytes`. */
  readonly version: string;
}

function encoded<D extends DescMessage>(name: string, schema: D, message: MessageInitShape<D>): EncodedResource {
  return versioned(name, toBinary(schema, create(schema, message)));
}

/** Bytes under their name, with their version. */
export function versioned(name: string, bytes: Uint8Array): EncodedResource {
  return { name, bytes, version: createHash('sha256').update(bytes).digest('hex').slice(0, 16) };
}

export function encodeWorkload(workload: Workload): EncodedResource {
  const value = workloadMessage(workload);
  return encoded(workload.uid, AddressSchema, { type: { case: 'workload', value } });
}

export function encodeService(service: Service): EncodedResource {
  const value = serviceMessage(service);
  return encoded(service.key, AddressSchema, { type: { case: 'service', value } });
}

function workloadMessage(workload: Workload): MessageInitShape<typeof WorkloadSchema> {
  const { applicationTunnel: tunnel, locality } = workload;
  const located = locality.region !== '' || locality.zone !== '' || locality.subzone !== '';
  const services = [...workload.services].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map((ip) => ip.bytes()),
    hostname: workload.hostname,
    network: workload.network,
    tunnelProtocol: numberOf(TUNNEL_PROTOCOLS, workload.protocol),
    trustDomain: workload.trustDomain === DEFAULT_TRUST_DOMAIN ? '' : workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    ...(workload.waypoint && { waypoint: gatewayMessage(workload.waypoint) }),
    ...(workload.networkGateway && { networkGateway: gatewayMessage(workload.networkGateway) }),
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: numberOf(WORKLOAD_TYPES, workload.workloadType),
    workloadName: workload.workloadName,
    nativeTunnel: workload.nativeTunnel,
    ...(tunnel && {
      applicationTunnel: { protocol: numberOf(APPLICATION_TUNNELS, tunnel.protocol), port: tunnel.port },
    }),
    services: Object.fromEntries(services.map(([key, ports]) => [key, { ports: ports.map(portMessage) }])),
    authorizationPolicies: [...workload.authorizationPolicies],
    status: numberOf(HEALTHY, workload.healthy),
    clusterId: workload.clusterId,
    ...(located && { locality }),
    networkMode: numberOf(HOST_NETWORK, workload.hostNetwork),
    ...(workload.capacity !== 1 && { capacity: workload.capacity }),
    extensions: [
      ...(workload.sameNodeTunnel ? [{ name: SAME_NODE_EXTENSION }] : []),
      ...(workload.httpMetrics ? [{ name: HTTP_METRICS_EXTENSION }] : []),
    ],
  };
}

function serviceMessage(service: Service): MessageInitShape<typeof ServiceSchema> {
  const { loadBalancing } = service;
  const balanced = loadBalancing.mode !== ANY_ENDPOINT.mode || loadBalancing.allowUnhealthy;
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.vips.map(({ network, range }) => ({
      network,
      address: range.base.bytes(),
      ...(!range.host && { length: range.length }),
    })),
    ports: service.ports.map((port) => ({
      ...portMessage(port),
      appProtocol: numberOf(APP_PROTOCOLS, port.appProtocol),
    })),
    subjectAltNames: [...service.subjectAltNames],
    ...(service.waypoint && { waypoint: gatewayMessage(service.waypoint) }),
    ...(balanced && { loadBalancing: balanceMessage(loadBalancing) }),
    ipFamilies: numberOf(IP_FAMILIES, service.ipFamilies),
    canonical: service.canonical,
    ingressUseWaypoint: service.ingressUseWaypoint,
    weightedWaypoints: service.weightedWaypoints.map(({ address, weight }) => ({
      destination: gatewayMessage(address),
      weight,
    })),
    visibility: numberOf(VISIBILITIES, service.visibility),
  };
}

function balanceMessage(balancing: LoadBalancing): MessageInitShape<typeof LoadBalancingSchema> {
  return {
    routingPreference: balancing.scopes.map((scope) => numberOf(SCOPES, scope)),
    mode: numberOf(MODES, balancing.mode),
    healthPolicy: numberOf(ALLOW_UNHEALTHY, balancing.allowUnhealthy),
  };
}

function portMessage({ servicePort, targetPort }: PortMapping): MessageInitShape<typeof PortSchema> {
  return { servicePort, targetPort };
}

function gatewayMessage({ destination, hbonePort }: GatewayAddress): MessageInitShape<typeof GatewayAddressSchema> {
  return {
    destination:
      destination.kind === 'ip'
        ? { case: 'address', value: { network: destination.network, address: destination.ip.bytes() } }
        : { case: 'hostname', value: { namespace: destination.namespace, hostname: destination.hostname } },
    hboneMtlsPort: hbonePort,
  };
}

export function encodePolicy(policy: Policy): EncodedResource {
  const message: MessageInitShape<typeof AuthorizationSchema> = {
    name: policy.name,
    namespace: policy.namespace,
    scope: numberOf(POLICY_SCOPES, policy.scope),
    action: numberOf(POLICY_ACTIONS, policy.action),
    dryRun: policy.dryRun,
    groups: policy.rules.map((rule) => ({
      rules: rule.clauses.map((clause) => ({ matches: clause.matches.map(matchMessage) })),
    })),
  };
  return encoded(policy.key, AuthorizationSchema, message);
}

/** A match of layer 4 as its message. */
export function matchMessage(match: Match): MessageInitShape<typeof MatchSchema> {
  return {
    namespaces: match.namespaces.any.map(stringMessage),
    notNamespaces: match.namespaces.none.map(stringMessage),
    principals: match.principals.any.map(stringMessage),
    notPrincipals: match.principals.none.map(stringMessage),
    sourceIps: match.sourceIps.any.map(rangeMessage),
    notSourceIps: match.sourceIps.none.map(rangeMessage),
    destinationIps: match.destinationIps.any.map(rangeMessage),
    notDestinationIps: match.destinationIps.none.map(rangeMessage),
    destinationPorts: [...match.destinationPorts.any],
    notDestinationPorts: [...match.destinationPorts.none],
    serviceAccounts: [...match.serviceAccounts.any],
    notServiceAccounts: [...match.serviceAccounts.none],
  };
}

function stringMessage(match: StringMatch): MessageInitShape<typeof StringMatchSchema> {
  return {
    matchType: match.kind === 'presence' ? { case: 'presence', value: {} } : { case: match.kind, value: match.value },
  };
}

function rangeMessage(range: Cidr): { address: Uint8Array; length: number } {
  return { address: range.base.bytes(), length: range.length };
}
