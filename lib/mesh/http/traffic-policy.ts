// SPDX-License-Identifier: Apache-2.0
//
// How endpoints of a service are chosen, watched and talked to: ambit.waypoint.v1.TrafficPolicy as plain values,
// every default applied by the control plane.

import type { HeaderValue } from './route-table.ts';

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface HashKey {
  readonly kind: 'header' | 'cookie' | 'source-ip' | 'query';
  /** Headers: lower case. */
  readonly name: string;
  readonly cookiePath: string;
  /** undefined: the cookie is only read. 0: a cookie of the browser's session is made when there is none. */
  readonly cookieTtlS: number | undefined;
  readonly cookieAttributes: readonly HeaderValue[];
}

export interface Warmup {
  readonly durationMs: number;
  readonly minimumPercent: number;
  readonly aggression: number;
}

export interface Locality {
  readonly enabled: boolean;
  /** `from` and the keys of `to`: `region/zone/subzone` with `*`; values in percent. */
  readonly distribute: readonly { readonly from: string; readonly to: Readonly<Record<string, number>> }[];
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** `label` or `label=value`. */
  readonly priorityLabels: readonly string[];
  /** Priorities hold without outlier detection. */
  readonly forced: boolean;
}

export interface LoadBalancer {
  readonly algorithm: 'least-request' | 'random' | 'round-robin' | 'passthrough' | 'ring-hash' | 'maglev';
  readonly hash: HashKey | undefined;
  readonly ringSize: number;
  readonly tableSize: number;
  readonly warmup: Warmup | undefined;
  readonly locality: Locality | undefined;
}

export interface Keepalive {
  readonly probes: number;
  readonly timeMs: number;
  readonly intervalMs: number;
}

export interface ConnectionPool {
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly maxConnectionDurationMs: number;
  readonly tcpIdleTimeoutMs: number;
  readonly keepalive: Keepalive | undefined;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
  readonly maxRetries: number;
  readonly httpIdleTimeoutMs: number;
  readonly h2Upgrade: 'default' | 'never' | 'always';
  readonly useClientProtocol: boolean;
  readonly maxConcurrentStreams: number;
  readonly h2Keepalive: Keepalive | undefined;
}

export interface OutlierDetection {
  /** Counts: 0 is off. */
  readonly consecutive5xx: number;
  readonly consecutiveGateway: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
  readonly splitLocalOrigin: boolean;
  readonly consecutiveLocalOrigin: number;
  readonly errorCodes: readonly number[];
}

export interface UpstreamTls {
  readonly mode: 'simple' | 'mutual';
  readonly sni: string;
  readonly subjectAltNames: readonly string[];
  readonly insecureSkipVerify: boolean;
  readonly caCertificates: Uint8Array;
  readonly clientCertificate: Uint8Array;
  readonly privateKey: Uint8Array;
  readonly crl: Uint8Array;
  readonly systemRoots: boolean;
  /** Why connections fail: something it names cannot be had. '' when it is good. */
  readonly invalid: string;
}

/** The endpoints are HTTP proxies: streams that are no HTTP go through them. */
export interface EgressTunnel {
  /** CONNECT or POST. */
  readonly protocol: string;
  /** Where the proxy is asked to lead to: a host name or an address. */
  readonly host: string;
  readonly port: number;
  /** Why connections fail: the proxy cannot be asked for what this names. '' when it can. */
  readonly invalid: string;
}

export interface RetryBudget {
  readonly percent: number;
  readonly minConcurrency: number;
  readonly intervalMs: number;
}

export interface Upstream {
  readonly subset: string;
  readonly port: number;
  readonly loadBalancer: LoadBalancer | undefined;
  readonly pool: ConnectionPool | undefined;
  readonly outlier: OutlierDetection | undefined;
  readonly tls: UpstreamTls | undefined;
  /** 0: none; 1, 2. */
  readonly proxyProtocol: number;
  readonly tunnel: EgressTunnel | undefined;
  readonly retryBudget: RetryBudget | undefined;
}

export interface TrafficPolicy {
  /** Key of the service. */
  readonly name: string;
  /** `DestinationRule shop/cart`. */
  readonly origin: string;
  readonly subsets: readonly Subset[];
  readonly upstreams: readonly Upstream[];
}

/** No limit that a count could reach. */
export const UNLIMITED = 0xffff_ffff;

export const DEFAULT_POOL: ConnectionPool = {
  maxConnections: UNLIMITED,
  connectTimeoutMs: 10_000,
  maxConnectionDurationMs: 0,
  tcpIdleTimeoutMs: 3_600_000,
  keepalive: undefined,
  maxPendingRequests: UNLIMITED,
  maxRequests: UNLIMITED,
  maxRequestsPerConnection: 0,
  maxRetries: UNLIMITED,
  httpIdleTimeoutMs: 3_600_000,
  h2Upgrade: 'default',
  useClientProtocol: false,
  maxConcurrentStreams: 0,
  h2Keepalive: undefined,
};

export const DEFAULT_LOAD_BALANCER: LoadBalancer = {
  algorithm: 'least-request',
  hash: undefined,
  ringSize: 1024,
  tableSize: 65537,
  warmup: undefined,
  locality: undefined,
};

/** What holds for a service that no DestinationRule names. */
export const DEFAULT_UPSTREAM: Upstream = {
  subset: '',
  port: 0,
  loadBalancer: DEFAULT_LOAD_BALANCER,
  pool: DEFAULT_POOL,
  outlier: undefined,
  tls: undefined,
  proxyProtocol: 0,
  tunnel: undefined,
  retryBudget: undefined,
};

/**
 * The settings for a subset and port.
 * @returns undefined when the policy knows no such subset
 */
export function upstreamOf(policy: TrafficPolicy | undefined, subset: string, port: number): Upstream | undefined {
  if (policy === undefined) return subset === '' ? DEFAULT_UPSTREAM : undefined;
  if (subset !== '' && !policy.subsets.some((one) => one.name === subset)) return undefined;
  let best: Upstream | undefined;
  let rank = -1;
  for (const one of policy.upstreams) {
    if ((one.subset !== '' && one.subset !== subset) || (one.port !== 0 && one.port !== port)) continue;
    const own = (one.subset === '' ? 0 : 2) + (one.port === 0 ? 0 : 1);
    if (own > rank) {
      rank = own;
      best = one;
    }
  }
  return best ?? DEFAULT_UPSTREAM;
}
