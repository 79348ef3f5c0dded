// SPDX-License-Identifier: Apache-2.0
//
// DestinationRules (networking.istio.io/v1) of one service as its traffic policy: subsets, and for each subset and
// port that anything is said of, the whole settings. Of each component the most specific word counts: the port's, then
// the subset's, then the rule's, then the mesh's.

import type { Problem } from '#lib/kit/result.ts';
import { textOf } from '#lib/kit/text-of.ts';
import {
  DEFAULT_POOL,
  type EgressTunnel,
  type RetryBudget,
  type Subset,
  type TrafficPolicy,
  type Upstream,
  type UpstreamTls,
} from '#lib/mesh/http/traffic-policy.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type {
  ConnectionPoolSpec,
  DestinationRule,
  LocalitySpec,
  OutlierSpec,
  PolicySpec,
  TlsSpec,
  TunnelSpec,
} from './destination-rule-spec.ts';
import { type Complain, loadBalancerOf, outlierOf, poolOf, readDuration } from './dr-load-balancer.ts';
import { resolveHost } from './resolve-host.ts';

/** A Secret's or ConfigMap's certificates, PEM; empty parts are absent. */
export interface Credential {
  readonly certificate: Uint8Array;
  readonly key: Uint8Array;
  readonly ca: Uint8Array;
  readonly crl: Uint8Array;
}

export interface DestinationRuleContext {
  readonly domain: string;
  /** Of a ServiceEntry, where a rule names none. */
  readonly subjectAltNames?: readonly string[];
  /** By `credentialName`; undefined when it does not exist or may not be used. */
  credential(namespace: string, name: string): Credential | undefined;
  /** Of the mesh, where rules say nothing. */
  readonly locality: LocalitySpec;
  readonly connectionPool: ConnectionPoolSpec | undefined;
  readonly outlierDetection: OutlierSpec | undefined;
}

export interface ConvertedDestinationRules {
  readonly policy: TrafficPolicy;
  readonly problems: readonly Problem[];
}

/** Whole host name, or `*.` pattern, the rule is for. */
export function destinationHost(rule: DestinationRule, domain: string): string {
  return resolveHost(rule.spec?.host ?? '', namespaceOf(rule), domain);
}

const NONE = new Uint8Array(0);
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\.?$/i;

/**
 * @param rules all for the service, the one that counts first; later ones of the same host add subsets only
 * @param service its key
 */
export function convertDestinationRules(
  rules: readonly DestinationRule[],
  service: string,
  context: DestinationRuleContext,
): ConvertedDestinationRules {
  const problems: Problem[] = [];
  const subsets: Subset[] = [];
  const upstreams: Upstream[] = [];
  const hostname = service.slice(service.indexOf('/') + 1);
  const [first] = rules;
  const base = first?.spec?.trafficPolicy ?? {};
  for (const rule of rules) {
    const object = `DestinationRule ${keyOf(rule)}`;
    const of = { object, namespace: namespaceOf(rule), hostname, context, problems };
    if (rule === first) {
      upstreams.push(upstreamOf('', 0, [base], 'spec.trafficPolicy', of));
      for (const port of portsOf(base))
        upstreams.push(upstreamOf('', port, [portLevel(base, port), base], 'spec.trafficPolicy', of));
    }
    rule.spec?.subsets?.forEach(({ labels = {}, name = '', trafficPolicy: own = {} }, i) => {
      const field = `spec.subsets[${i}]`;
      if (subsets.some((one) => one.name === name)) {
        problems.push({ object, field, message: `subset ${name} is there twice; the first counts`, fix: 'rename one' });
        return;
      }
      subsets.push({ name, labels });
      upstreams.push(upstreamOf(name, 0, [own, base], `${field}.trafficPolicy`, of));
      for (const port of new Set([...portsOf(own), ...portsOf(base)])) {
        const levels = [portLevel(own, port), portLevel(base, port), own, base];
        upstreams.push(upstreamOf(name, port, levels, `${field}.trafficPolicy`, of));
      }
    });
  }
  const origin = first === undefined ? '' : `DestinationRule ${keyOf(first)}`;
  return { policy: { name: service, origin, subsets, upstreams }, problems };
}

function portsOf(policy: PolicySpec): number[] {
  return (policy.portLevelSettings ?? []).map(({ port }) => port?.number ?? 0).filter((port) => port !== 0);
}

function portLevel(policy: PolicySpec, port: number): PolicySpec {
  return policy.portLevelSettings?.find((one) => one.port?.number === port) ?? {};
}

interface Origin {
  readonly object: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly context: DestinationRuleContext;
  readonly problems: Problem[];
}

/** @param levels most specific first */
function upstreamOf(subset: string, port: number, levels: readonly PolicySpec[], at: string, origin: Origin): Upstream {
  const { context, object, problems } = origin;
  const complain: Complain = (field, message) => {
    const one = { object, field: `${at}.${field}`, message };
    if (!problems.some((known) => known.message === message)) problems.push(one);
  };
  const pick = <K extends keyof PolicySpec>(name: K): PolicySpec[K] | undefined =>
    levels.find((one) => one[name] !== undefined)?.[name];
  const pool = pick('connectionPool') ?? context.connectionPool;
  const outlier = pick('outlierDetection') ?? context.outlierDetection;
  const tls = pick('tls');
  const tunnel = pick('tunnel');
  const version = pick('proxyProtocol')?.version;
  return {
    subset,
    port,
    loadBalancer: loadBalancerOf(pick('loadBalancer') ?? {}, context.locality, complain),
    pool: pool === undefined ? DEFAULT_POOL : poolOf(pool, complain),
    outlier: outlier === undefined ? undefined : outlierOf(outlier, complain),
    tls: tls === undefined ? undefined : tlsOf(tls, origin, complain),
    proxyProtocol: pick('proxyProtocol') === undefined ? 0 : version === 'V2' ? 2 : 1,
    tunnel: tunnel && tunnelOf(tunnel, complain),
    retryBudget: budgetOf(pick('retryBudget'), complain),
  };
}

/** What cannot be asked of a proxy fails connections: they must not go another way instead. */
function tunnelOf(spec: TunnelSpec, complain: Complain): EgressTunnel {
  const { protocol = 'CONNECT', targetHost: host = '', targetPort: port = 0 } = spec;
  const refuse = (field: string, why: string): string => {
    complain(`tunnel.${field}`, `${why}, so connections fail`);
    return why;
  };
  let invalid = '';
  if (protocol !== 'CONNECT' && protocol !== 'POST') {
    invalid = refuse('protocol', `a tunnel is asked for by CONNECT or POST, not by ${textOf(protocol)}`);
  } else if (!isHost(host)) invalid = refuse('targetHost', `${textOf(host)} is neither a host name nor an address`);
  else if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    invalid = refuse('targetPort', `${textOf(port)} is no port`);
  }
  return { protocol, host, port, invalid };
}

function isHost(host: string): boolean {
  return parseIp(host) !== undefined || DNS_NAME.test(host);
}

function budgetOf(spec: PolicySpec['retryBudget'], complain: Complain): RetryBudget | undefined {
  if (spec === undefined) return undefined;
  const percent = typeof spec.percent === 'object' ? spec.percent.value : spec.percent;
  return {
    percent: percent ?? 20,
    minConcurrency: spec.minRetryConcurrency ?? 3,
    intervalMs: readDuration(spec.budgetInterval, 'retryBudget.budgetInterval', complain) ?? 0,
  };
}

/** TLS inside the tunnel. DISABLE and ISTIO_MUTUAL ask for none: the tunnel is the mesh's own. */
function tlsOf(spec: TlsSpec, { context, hostname, namespace }: Origin, complain: Complain): UpstreamTls | undefined {
  const { credentialName = '', mode = 'DISABLE' } = spec;
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return undefined;
  const credential = credentialName === '' ? undefined : context.credential(namespace, credentialName);
  let invalid = '';
  if (credentialName !== '' && credential === undefined) {
    invalid = `Secret ${namespace}/${credentialName} does not exist`;
    complain('tls.credentialName', `${invalid}, so connections fail`);
  }
  const files = [spec.clientCertificate, spec.privateKey, spec.caCrl, spec.caCertificates].filter(
    (file) => file !== undefined && file !== '' && file !== 'system',
  );
  if (files.length > 0 && credential === undefined) {
    invalid = `${files[0]} is a file of the proxy's, which a waypoint does not have`;
    complain('tls', `${invalid}; use credentialName`);
  }
  if (
    mode === 'MUTUAL' &&
    credential !== undefined &&
    (credential.certificate.length === 0 || credential.key.length === 0)
  ) {
    invalid = `Secret ${namespace}/${credentialName} has no certificate and key`;
    complain('tls.credentialName', `${invalid}, so connections fail`);
  }
  const ca = credential?.ca ?? NONE;
  const skip = spec.insecureSkipVerify ?? false;
  return {
    mode: mode === 'MUTUAL' ? 'mutual' : 'simple',
    sni: spec.sni ?? (hostname.startsWith('*') ? '' : hostname),
    subjectAltNames: spec.subjectAltNames ?? context.subjectAltNames ?? [],
    insecureSkipVerify: skip,
    caCertificates: ca,
    clientCertificate: mode === 'MUTUAL' ? (credential?.certificate ?? NONE) : NONE,
    privateKey: mode === 'MUTUAL' ? (credential?.key ?? NONE) : NONE,
    crl: credential?.crl ?? NONE,
    systemRoots: !skip && ca.length === 0,
    invalid,
  };
}
