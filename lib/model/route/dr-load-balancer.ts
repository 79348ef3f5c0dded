// SPDX-License-Identifier: Apache-2.0
//
// The loadBalancer, connectionPool and outlierDetection of a DestinationRule, with their defaults.

import { table } from '#lib/kit/table.ts';
import {
  type ConnectionPool,
  DEFAULT_LOAD_BALANCER,
  DEFAULT_POOL,
  type HashKey,
  type LoadBalancer,
  type Locality,
  type OutlierDetection,
  type Warmup,
} from '#lib/mesh/http/traffic-policy.ts';
import type { ConnectionPoolSpec, LoadBalancerSpec, LocalitySpec, OutlierSpec } from './destination-rule-spec.ts';
import { istioDuration } from './duration.ts';

/** Told of what cannot be read: field and message. */
export type Complain = (field: string, message: string) => void;

export function readDuration(text: string | undefined, field: string, complain: Complain): number | undefined {
  if (text === undefined) return undefined;
  const ms = istioDuration(text);
  if (ms === undefined) complain(field, `${text} is no duration`);
  return ms;
}

const ALGORITHMS = table<LoadBalancer['algorithm']>({
  UNSPECIFIED: 'least-request',
  LEAST_REQUEST: 'least-request',
  LEAST_CONN: 'least-request',
  RANDOM: 'random',
  ROUND_ROBIN: 'round-robin',
  PASSTHROUGH: 'passthrough',
});

/** @param localities the mesh's own setting, for rules that say none */
export function loadBalancerOf(spec: LoadBalancerSpec, localities: LocalitySpec, complain: Complain): LoadBalancer {
  const { consistentHash, simple = 'UNSPECIFIED' } = spec;
  const at = 'loadBalancer';
  const locality = localityOf(spec.localityLbSetting ?? localities);
  const base = { ...DEFAULT_LOAD_BALANCER, locality };
  if (consistentHash !== undefined) {
    const { maglev, minimumRingSize, ringHash } = consistentHash;
    return {
      ...base,
      algorithm: maglev === undefined ? 'ring-hash' : 'maglev',
      hash: hashKeyOf(consistentHash, complain),
      ringSize: ringHash?.minimumRingSize ?? minimumRingSize ?? DEFAULT_LOAD_BALANCER.ringSize,
      tableSize: tableSizeOf(maglev?.tableSize, complain),
    };
  }
  const algorithm = ALGORITHMS[simple];
  if (algorithm === undefined) complain(`${at}.simple`, `${simple} is no algorithm`);
  const warmup = warmupOf(spec, complain);
  const warms = algorithm === 'round-robin' || algorithm === 'least-request';
  if (warmup !== undefined && !warms) complain(`${at}.warmup`, 'is only for ROUND_ROBIN and LEAST_REQUEST');
  return { ...base, algorithm: algorithm ?? 'least-request', warmup: warms ? warmup : undefined };
}

function hashKeyOf(spec: NonNullable<LoadBalancerSpec['consistentHash']>, complain: Complain): HashKey | undefined {
  const key: HashKey = { kind: 'source-ip', name: '', cookiePath: '', cookieTtlS: undefined, cookieAttributes: [] };
  const { httpCookie, httpHeaderName, httpQueryParameterName, useSourceIp } = spec;
  if (httpHeaderName !== undefined) return { ...key, kind: 'header', name: httpHeaderName.toLowerCase() };
  if (httpQueryParameterName !== undefined) return { ...key, kind: 'query', name: httpQueryParameterName };
  if (httpCookie !== undefined) {
    const ttl = readDuration(httpCookie.ttl, 'loadBalancer.consistentHash.httpCookie.ttl', complain);
    return {
      kind: 'cookie',
      name: httpCookie.name ?? '',
      cookiePath: httpCookie.path ?? '',
      cookieTtlS: ttl === undefined ? undefined : Math.round(ttl / 1000),
      cookieAttributes: (httpCookie.attributes ?? []).map(({ name = '', value = '' }) => ({ name, value })),
    };
  }
  if (useSourceIp === true) return key;
  complain('loadBalancer.consistentHash', 'names no key, so requests go anywhere');
  return undefined;
}

function tableSizeOf(size: number | undefined, complain: Complain): number {
  if (size === undefined) return DEFAULT_LOAD_BALANCER.tableSize;
  if (isPrime(size) && size <= 5_000_011) return size;
  complain('loadBalancer.consistentHash.maglev.tableSize', `${size} is no prime up to 5000011`);
  return DEFAULT_LOAD_BALANCER.tableSize;
}

function isPrime(n: number): boolean {
  if (n < 2 || n % 1 !== 0) return false;
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
}

function warmupOf({ warmup, warmupDurationSecs }: LoadBalancerSpec, complain: Complain): Warmup | undefined {
  const text = warmup?.duration ?? warmupDurationSecs;
  const durationMs = readDuration(text, 'loadBalancer.warmup.duration', complain);
  if (durationMs === undefined) return undefined;
  return { durationMs, minimumPercent: warmup?.minimumPercent ?? 10, aggression: warmup?.aggression ?? 1 };
}

function localityOf(spec: LocalitySpec): Locality {
  return {
    enabled: spec.enabled ?? true,
    distribute: (spec.distribute ?? []).map(({ from = '', to = {} }) => ({ from, to })),
    failover: (spec.failover ?? []).map(({ from = '', to = '' }) => ({ from, to })),
    priorityLabels: spec.failoverPriority ?? [],
    forced: false,
  };
}

export function poolOf({ http = {}, tcp = {} }: ConnectionPoolSpec, complain: Complain): ConnectionPool {
  const at = 'connectionPool';
  const ms = (text: string | undefined, field: string, otherwise: number): number =>
    readDuration(text, `${at}.${field}`, complain) ?? otherwise;
  // Zero stands for the default in Istio's API.
  const count = (value: number | undefined, otherwise: number): number =>
    value === undefined || value === 0 ? otherwise : value;
  const { tcpKeepalive } = tcp;
  const { http2KeepAlive } = http;
  return {
    maxConnections: count(tcp.maxConnections, DEFAULT_POOL.maxConnections),
    connectTimeoutMs: ms(tcp.connectTimeout, 'tcp.connectTimeout', DEFAULT_POOL.connectTimeoutMs),
    maxConnectionDurationMs: ms(tcp.maxConnectionDuration, 'tcp.maxConnectionDuration', 0),
    tcpIdleTimeoutMs: ms(tcp.idleTimeout, 'tcp.idleTimeout', DEFAULT_POOL.tcpIdleTimeoutMs),
    keepalive: tcpKeepalive && {
      probes: tcpKeepalive.probes ?? 9,
      timeMs: ms(tcpKeepalive.time, 'tcp.tcpKeepalive.time', 7_200_000),
      intervalMs: ms(tcpKeepalive.interval, 'tcp.tcpKeepalive.interval', 75_000),
    },
    maxPendingRequests: count(http.http1MaxPendingRequests, DEFAULT_POOL.maxPendingRequests),
    maxRequests: count(http.http2MaxRequests, DEFAULT_POOL.maxRequests),
    maxRequestsPerConnection: http.maxRequestsPerConnection ?? 0,
    maxRetries: count(http.maxRetries, DEFAULT_POOL.maxRetries),
    httpIdleTimeoutMs: ms(http.idleTimeout, 'http.idleTimeout', DEFAULT_POOL.httpIdleTimeoutMs),
    h2Upgrade: UPGRADES[http.h2UpgradePolicy ?? 'DEFAULT'] ?? 'default',
    useClientProtocol: http.useClientProtocol ?? false,
    maxConcurrentStreams: http.maxConcurrentStreams ?? 0,
    h2Keepalive: http2KeepAlive && {
      probes: 0,
      timeMs: ms(http2KeepAlive.interval, 'http.http2KeepAlive.interval', 0),
      intervalMs: ms(http2KeepAlive.timeout, 'http.http2KeepAlive.timeout', 0),
    },
  };
}

const UPGRADES = table<ConnectionPool['h2Upgrade']>({
  DEFAULT: 'default',
  DO_NOT_UPGRADE: 'never',
  UPGRADE: 'always',
});

/** How long an ejection lasts at most. */
const MAX_EJECTION_MS = 300_000;

export function outlierOf(spec: OutlierSpec, complain: Complain): OutlierDetection {
  const at = 'outlierDetection';
  const codes = (spec.outlierDetectionHttpErrorCodes ?? []).map(Number);
  if (codes.some((code) => !Number.isInteger(code) || code < 100 || code > 599)) {
    complain(`${at}.outlierDetectionHttpErrorCodes`, 'has something that is no status');
  }
  return {
    consecutive5xx: spec.consecutive5xxErrors ?? spec.consecutiveErrors ?? 5,
    consecutiveGateway: spec.consecutiveGatewayErrors ?? 0,
    intervalMs: readDuration(spec.interval, `${at}.interval`, complain) ?? 10_000,
    baseEjectionMs: readDuration(spec.baseEjectionTime, `${at}.baseEjectionTime`, complain) ?? 30_000,
    maxEjectionMs: MAX_EJECTION_MS,
    maxEjectionPercent: spec.maxEjectionPercent ?? 10,
    minHealthPercent: spec.minHealthPercent ?? 0,
    splitLocalOrigin: spec.splitExternalLocalOriginErrors ?? false,
    consecutiveLocalOrigin: spec.consecutiveLocalOriginFailures ?? 5,
    errorCodes: codes.filter((code) => code >= 100 && code <= 599),
  };
}
