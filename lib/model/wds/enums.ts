// SPDX-License-Identifier: Apache-2.0
//
// The numbers of WDS enums and the domain's words for them: index is number. `undefined` marks numbers that must not
// arrive.

import type { Policy } from '#lib/mesh/policy.ts';
import type { AppProtocol, IpFamilies, LoadBalancing, Scope, Service } from '#lib/mesh/service.ts';
import type { ApplicationTunnel, TunnelProtocol, Workload } from '#lib/mesh/workload.ts';

export const TUNNEL_PROTOCOLS: readonly (TunnelProtocol | undefined)[] = ['none', 'hbone', undefined];
export const WORKLOAD_TYPES: readonly Workload['workloadType'][] = ['deployment', 'cronjob', 'pod', 'job'];
export const HEALTHY: readonly boolean[] = [true, false];
export const HOST_NETWORK: readonly boolean[] = [false, true];
export const APPLICATION_TUNNELS: readonly ApplicationTunnel['protocol'][] = ['none', 'proxy'];
export const APP_PROTOCOLS: readonly AppProtocol[] = ['unknown', 'http11', 'http2', 'grpc', 'tcp', 'tls'];
export const IP_FAMILIES: readonly IpFamilies[] = ['automatic', 'ipv4', 'ipv6', 'dual'];
export const SCOPES: readonly (Scope | undefined)[] = [
  undefined,
  'region',
  'zone',
  'subzone',
  'node',
  'cluster',
  'network',
];
export const MODES: readonly LoadBalancing['mode'][] = ['any', 'strict', 'failover', 'passthrough'];
export const ALLOW_UNHEALTHY: readonly boolean[] = [false, true];
export const VISIBILITIES: readonly Service['visibility'][] = ['public', 'namespace'];

export const POLICY_SCOPES: readonly Policy['scope'][] = ['global', 'namespace', 'selector'];
export const POLICY_ACTIONS: readonly Policy['action'][] = ['allow', 'deny'];

/** The number of a word, in the enum type that the place asks for. */
export function numberOf<N extends number, T>(words: readonly T[], word: T): N {
  return words.indexOf(word) as N;
}

/** Name of the workload extension by which a namespace forbids the same-node shortcut. */
export const SAME_NODE_EXTENSION = 'ambit.dev/same-node';
/** The same, by which a namespace asks for metrics of requests. */
export const HTTP_METRICS_EXTENSION = 'ambit.dev/http-metrics';
