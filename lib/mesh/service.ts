// SPDX-License-Identifier: Apache-2.0
//
// A service: a host name, usually virtual addresses, ports, and the rule by which one of its endpoints is chosen.

import type { Cidr } from './cidr.ts';
import type { GatewayAddress, WeightedWaypoint } from './gateway-address.ts';
import type { PortMapping, ServiceKey, Workload } from './workload.ts';

export type AppProtocol = 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';

export interface ServicePort extends PortMapping {
  readonly appProtocol: AppProtocol;
}

/** What an endpoint must share with the client to count as near. */
export type Scope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster' | 'network';

export interface LoadBalancing {
  /**
   * `any`: every endpoint alike. `strict`: only those that match all scopes. `failover`: those that match the most
   * leading scopes. `passthrough`: no choice, the connection goes where it was dialled.
   */
  readonly mode: 'any' | 'strict' | 'failover' | 'passthrough';
  readonly scopes: readonly Scope[];
  /** Endpoints that are not ready count too (`publishNotReadyAddresses`). */
  readonly allowUnhealthy: boolean;
}

/** A virtual address, or with a shorter prefix a range of them. */
export interface Vip {
  readonly network: string;
  readonly range: Cidr;
}

export type IpFamilies = 'automatic' | 'ipv4' | 'ipv6' | 'dual';

export interface Service {
  readonly key: ServiceKey;
  readonly name: string;
  readonly namespace: string;
  /** May start with `*.` for DNS. */
  readonly hostname: string;
  /** Empty for headless services. */
  readonly vips: readonly Vip[];
  readonly ports: readonly ServicePort[];
  /** Server identities (URIs) accepted beside the endpoint's own. */
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  /** Overrides `waypoint` unless all weights are 0. */
  readonly weightedWaypoints: readonly WeightedWaypoint[];
  readonly loadBalancing: LoadBalancing;
  readonly ipFamilies: IpFamilies;
  /** Wins among equals of one host name or address. */
  readonly canonical: boolean;
  /** `namespace`: clients of other namespaces do not see it. */
  readonly visibility: 'public' | 'namespace';
  /** Ingress gateways pass the waypoint too. */
  readonly ingressUseWaypoint: boolean;
}

/** A workload in its role behind one service. */
export interface Endpoint {
  readonly workload: Workload;
  /** The workload's own port map for this service. */
  readonly ports: readonly PortMapping[];
}

export const ANY_ENDPOINT: LoadBalancing = { mode: 'any', scopes: [], allowUnhealthy: false };

/** `<namespace>/<hostname>`. */
export function serviceKey(namespace: string, hostname: string): ServiceKey {
  return `${namespace}/${hostname}`;
}

/** `shop/cart` for people; the whole key for host names that are not a Kubernetes Service's. */
export function describeService({ hostname, key, name, namespace }: Service): string {
  return hostname.startsWith(`${name}.${namespace}.svc.`) ? `${namespace}/${name}` : key;
}

export function portOf(service: Service, port: number): ServicePort | undefined {
  for (const candidate of service.ports) if (candidate.servicePort === port) return candidate;
  return undefined;
}

/** Whether clients in `namespace` may see the service. */
export function visibleTo(service: Service, namespace: string): boolean {
  return service.visibility === 'public' || service.namespace === namespace;
}
