// SPDX-License-Identifier: Apache-2.0
// A mesh from a YAML text instead of a control plane: development, tests and benchmarks need none. Its shapes are those of
// `/config_dump`, except that a workload's `services` is a map to ports. All problems of a text are reported together.
import { parse } from 'yaml';
import { describeError } from '#lib/kit/error.ts';
import { fail, type Problem, type Result } from '#lib/kit/result.ts';
import { DEFAULT_SERVICE_ACCOUNT, DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import type { Match, Policy, Rule } from '#lib/mesh/policy.ts';
import { ANY_ENDPOINT, type LoadBalancing, type Service, serviceKey } from '#lib/mesh/service.ts';
import type { PortMapping, Workload } from '#lib/mesh/workload.ts';
import { ACTION_NAMES, FAMILY_NAMES, MODE_NAMES, SCOPE_NAMES } from '../admin/dump.ts';
import { FieldReader } from './field-reader.ts';

export interface LocalMesh {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly Policy[];
}

const WORKLOAD_TYPES = { deployment: 'deployment', cronjob: 'cronjob', pod: 'pod', job: 'job' } as const;
const APP_PROTOCOLS = {
  UNKNOWN: 'unknown',
  HTTP11: 'http11',
  HTTP2: 'http2',
  GRPC: 'grpc',
  TCP: 'tcp',
  TLS: 'tls',
} as const;
const PROTOCOLS = { HBONE: 'hbone', TCP: 'none' } as const;

/** Reads the whole text or says everything that is wrong with it. */
export function readLocalMesh(text: string, clusterId: string): Result<LocalMesh> {
  let root: unknown;
  try {
    root = parse(text);
  } catch (error) {
    return fail({ field: '', message: `is no YAML: ${describeError(error)}` });
  }
  const problems: Problem[] = [];
  const top = new FieldReader(root ?? {}, '', problems);
  const mesh: LocalMesh = {
    workloads: top.objects('workloads').map((one) => readWorkload(one, clusterId)),
    services: top.objects('services').map(readService),
    policies: top.objects('policies').map(readPolicy),
  };
  return problems.length === 0 ? { ok: true, value: mesh } : { ok: false, problems };
}

function readWorkload(from: FieldReader, clusterId: string): Workload {
  const uid = from.required('uid');
  const name = from.text('name', '');
  const tunnel = from.object('applicationTunnel');
  const locality = from.object('locality');
  return {
    uid,
    name,
    namespace: from.text('namespace', 'default'),
    serviceAccount: from.text('serviceAccount', DEFAULT_SERVICE_ACCOUNT),
    trustDomain: from.text('trustDomain', DEFAULT_TRUST_DOMAIN),
    addresses: from.ips('workloadIps'),
    hostname: from.text('hostname', ''),
    network: from.text('network', ''),
    protocol: from.oneOf('protocol', PROTOCOLS, 'none'),
    waypoint: from.gateway('waypoint'),
    networkGateway: from.gateway('networkGateway'),
    node: from.text('node', ''),
    clusterId: from.text('clusterId', clusterId),
    canonicalName: from.text('canonicalName', name),
    canonicalRevision: from.text('canonicalRevision', ''),
    workloadType: from.oneOf('workloadType', WORKLOAD_TYPES, 'deployment'),
    workloadName: from.text('workloadName', name),
    nativeTunnel: from.flag('nativeTunnel', false),
    applicationTunnel:
      tunnel === undefined
        ? undefined
        : { protocol: tunnel.oneOf('protocol', { NONE: 'none', PROXY: 'proxy' }, 'none'), port: tunnel.port('port') },
    services: new Map(from.entries('services').map(([key, ports]) => [key, readPorts(ports)])),
    authorizationPolicies: from.texts('authorizationPolicies'),
    healthy: from.oneOf('status', { Healthy: true, Unhealthy: false }, true),
    locality: {
      region: locality?.text('region', '') ?? '',
      zone: locality?.text('zone', '') ?? '',
      subzone: locality?.text('subzone', '') ?? '',
    },
    hostNetwork: from.oneOf('networkMode', { Standard: false, HostNetwork: true }, false),
    capacity: from.number('capacity', 1),
    sameNodeTunnel: from.flag('sameNodeTunnel', false),
    httpMetrics: from.flag('httpMetrics', false),
  };
}

function readPorts(from: FieldReader): PortMapping[] {
  return from.ports().map(([servicePort, targetPort]) => ({ servicePort, targetPort }));
}

function readService(from: FieldReader): Service {
  const namespace = from.required('namespace');
  const hostname = from.required('hostname');
  const balancing = from.object('loadBalancer');
  const protocols = from.object('protocols');
  return {
    key: serviceKey(namespace, hostname),
    name: from.text('name', hostname.split('.')[0] ?? ''),
    namespace,
    hostname,
    vips: [...from.networkIps('vips'), ...from.objects('cidrVips').map((one) => one.networkRange())],
    ports: (from.object('ports')?.ports() ?? []).map(([servicePort, targetPort]) => ({
      servicePort,
      targetPort,
      appProtocol: protocols?.oneOf(String(servicePort), APP_PROTOCOLS, 'unknown') ?? 'unknown',
    })),
    subjectAltNames: from.texts('subjectAltNames'),
    waypoint: from.gateway('waypoint'),
    weightedWaypoints: from.objects('weightedWaypoints').flatMap((one) => {
      const address = one.gateway('destination');
      return address === undefined ? [] : [{ address, weight: one.number('weight', 1) }];
    }),
    loadBalancing: balancing === undefined ? ANY_ENDPOINT : readBalancing(balancing),
    ipFamilies: from.oneOf('ipFamilies', inverse(FAMILY_NAMES), 'automatic'),
    canonical: from.flag('canonical', false),
    visibility: from.oneOf('visibility', { Public: 'public', Namespace: 'namespace' }, 'public'),
    ingressUseWaypoint: false,
  };
}

const SCOPES = {
  Region: 'region',
  Zone: 'zone',
  Subzone: 'subzone',
  Node: 'node',
  Cluster: 'cluster',
  Network: 'network',
} as const;

function readBalancing(from: FieldReader): LoadBalancing {
  return {
    mode: from.oneOf('mode', inverse(MODE_NAMES), 'any'),
    scopes: from.names('routingPreferences', SCOPES),
    allowUnhealthy: from.oneOf('healthPolicy', { OnlyHealthy: false, AllowAll: true }, false),
  };
}

function readPolicy(from: FieldReader): Policy {
  const namespace = from.required('namespace');
  const name = from.required('name');
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    scope: from.oneOf('scope', inverse(SCOPE_NAMES), 'namespace'),
    action: from.oneOf('action', inverse(ACTION_NAMES), 'allow'),
    dryRun: from.flag('dryRun', false),
    rules: from.lists('rules').map(
      (rule): Rule => ({
        clauses: rule.lists().map((clause) => ({ matches: clause.objectsHere().map(readMatch) })),
      }),
    ),
  };
}

function readMatch(from: FieldReader): Match {
  return {
    namespaces: { any: from.matches('namespaces'), none: from.matches('notNamespaces') },
    principals: { any: from.matches('principals'), none: from.matches('notPrincipals') },
    serviceAccounts: { any: readAccounts(from, 'serviceAccounts'), none: readAccounts(from, 'notServiceAccounts') },
    sourceIps: { any: from.ranges('sourceIps'), none: from.ranges('notSourceIps') },
    destinationIps: { any: from.ranges('destinationIps'), none: from.ranges('notDestinationIps') },
    destinationPorts: { any: from.numbers('destinationPorts'), none: from.numbers('notDestinationPorts') },
  };
}

function readAccounts(from: FieldReader, key: string): { namespace: string; serviceAccount: string }[] {
  return from.objects(key).map((one) => ({
    namespace: one.required('namespace'),
    serviceAccount: one.required('serviceAccount'),
  }));
}

function inverse<const T extends Record<string, string>>(names: T): { readonly [K in keyof T as T[K]]: K } {
  return Object.fromEntries(Object.entries(names).map(([key, value]) => [value, key])) as {
    readonly [K in keyof T as T[K]]: K;
  };
}
