// SPDX-License-Identifier: Apache-2.0
// ztunnel's settings, read once from the environment (and the two files that Istio's charts mount). Names of Istio's variables are
// kept; ours begin with AMBIT_. Every bad value is reported in one error.

import { ConfigReader } from '#lib/kit/config.ts';
import type { IssuerSettings } from '#lib/proxy/identity/issuer.ts';
import {
  certificateSettings,
  nodeMetadata,
  noServer,
  type ProxySettings,
  printable,
  serverSettings,
  storeSettings,
  type World,
} from '#lib/proxy/settings.ts';
import type { WorkerSettings } from './control.ts';
import type { ProbeSettings } from './health/prober.ts';
import { type LogSettings, logSettings } from './log-config.ts';
import { type MeshFileSettings, readMeshSettings } from './mesh-config.ts';
import { workerSettings } from './worker-config.ts';

export interface Config extends ProxySettings {
  readonly mode: 'shared' | 'dedicated';
  /** Whose proxy this is, in dedicated mode. */
  readonly dedicated:
    | { readonly namespace: string; readonly name: string; readonly serviceAccount: string }
    | undefined;
  readonly pod: {
    readonly name: string;
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly ip: string;
  };
  readonly xdsOnDemand: boolean;
  /** Folder of the one workload's certificate, in dedicated mode; undefined asks the authority. */
  readonly certDir: string | undefined;
  readonly localXds: { readonly path: string } | { readonly text: string } | undefined;
  readonly inpodSocket: string;
  readonly crlPath: string | undefined;
  /** How the one application of dedicated mode is probed; undefined does not. */
  readonly probe: ProbeSettings | undefined;
  readonly log: LogSettings;
  readonly worker: WorkerSettings;
}

const DEFAULT_DRAIN_MS = 5000;
const MIN_WORKERS = 2;

/** Throws CONFIG_INVALID, naming every bad variable. */
export function loadConfig(world: World): Config {
  const { env, readFile, cores, version } = world;
  const read = new ConfigReader((name) => env[name]);
  const mesh = readMeshSettings(read, readFile);
  const mode = read.oneOf('PROXY_MODE', ['shared', 'dedicated'], 'shared');
  const trustDomain = read.string('TRUST_DOMAIN', 'cluster.local');
  const clusterId = env['ISTIO_META_CLUSTER_ID'] ?? read.string('CLUSTER_ID', 'Kubernetes');
  const log = logSettings(read);
  const xdsDefault =
    mesh.discoveryAddress ??
    (env['KUBERNETES_SERVICE_HOST'] === undefined
      ? 'https://localhost:15012'
      : 'https://istiod.istio-system.svc:15012');
  const xds = serverSettings(read, world, 'XDS', read.string('XDS_ADDRESS', xdsDefault), './');
  const caAddress = read.optional('CA_ADDRESS') ?? (read.string('XDS_ADDRESS', xdsDefault) || xdsDefault);
  const config: Config = {
    mode,
    dedicated: mode === 'dedicated' ? dedicatedWorkload(read) : undefined,
    pod: {
      name: read.string('POD_NAME', ''),
      namespace: read.string('POD_NAMESPACE', ''),
      serviceAccount: read.string('SERVICE_ACCOUNT', ''),
      ip: read.string('INSTANCE_IP', ''),
    },
    xds,
    xdsOnDemand: read.boolean('XDS_ON_DEMAND', false),
    ca: serverSettings(read, world, 'CA', caAddress, './') ?? noServer(xdsDefault),
    ...certificateSettings(read, world, './'),
    certDir: read.optional('AMBIT_CERT_DIR'),
    localXds: localXds(read),
    nodeMetadata: {
      ...(version === undefined ? {} : { ISTIO_VERSION: version }),
      ...mesh.proxyMetadata,
      ...nodeMetadata(read, world),
    },
    inpodSocket: read.string('INPOD_UDS', '/var/run/ztunnel/ztunnel.sock'),
    workers: workerCount(read, env, mesh, cores),
    drainMs: drainDeadline(read),
    admin: {
      port: mesh.proxyAdminPort ?? 15000,
      statsPort: mesh.statsPort ?? 15020,
      readyPort: read.integer('AMBIT_READY_PORT', 15021, { min: 0, max: 65535 }),
    },
    ...storeSettings(read),
    crlPath: read.optional('CRL_PATH'),
    probe: mode === 'dedicated' ? mesh.probe : undefined,
    log,
    worker: workerSettings(read, readFile, mode, { clusterId, trustDomain, mesh, log }),
  };
  if (config.certDir !== undefined && mode === 'shared') {
    read.problem('AMBIT_CERT_DIR', 'holds one certificate, and a shared proxy needs many', 'set PROXY_MODE=dedicated');
  }
  if (config.xdsOnDemand && config.worker.dns.enabled) {
    read.problem(
      'XDS_ON_DEMAND',
      'cannot be used with the DNS proxy',
      'set ISTIO_META_DNS_CAPTURE=false, or on-demand off',
    );
  }
  read.assertValid();
  return Object.freeze(config);
}

function dedicatedWorkload(read: ConfigReader): Config['dedicated'] {
  const text = read.required('PROXY_WORKLOAD_INFO');
  const [namespace, name, serviceAccount, ...rest] = text.split('/');
  if (text !== '' && (!namespace || !name || !serviceAccount || rest.length > 0)) {
    read.problem(
      'PROXY_WORKLOAD_INFO',
      `${JSON.stringify(text)} does not name a workload`,
      'write namespace/name/serviceaccount',
    );
  }
  return { namespace: namespace ?? '', name: name ?? '', serviceAccount: serviceAccount ?? '' };
}

function localXds(read: ConfigReader): Config['localXds'] {
  const path = read.optional('LOCAL_XDS_PATH');
  const text = read.optional('LOCAL_XDS');
  if (path !== undefined && text !== undefined)
    read.problem('LOCAL_XDS', 'and LOCAL_XDS_PATH are both set', 'set one of them');
  if (path !== undefined) return { path };
  return text === undefined ? undefined : { text };
}

// A quarter of the cores, two at least: the data plane of a node must not take what its pods need.
function workerCount(read: ConfigReader, env: World['env'], mesh: MeshFileSettings, cores: number): number {
  const text = env['ZTUNNEL_WORKER_THREADS'] ?? (mesh.concurrency === undefined ? undefined : String(mesh.concurrency));
  const percent = /^(\d+)%$/.exec(text ?? '');
  if (percent !== null) return Math.max(1, Math.ceil((cores * Number(percent[1])) / 100));
  if (text !== undefined && text !== '') {
    if (!/^\d+$/.test(text))
      read.problem('ZTUNNEL_WORKER_THREADS', `${JSON.stringify(text)} is no count`, 'write 2, 0 or 50%');
    return Number(text) === 0 ? cores : Math.min(Number(text) || 1, 64);
  }
  const number = (name: string): number => Number(env[name]) || 0;
  const request = number('ZTUNNEL_RESOURCE_CPU_REQUEST');
  const limit = number('ZTUNNEL_CPU_LIMIT') || number('ZTUNNEL_RESOURCE_CPU_LIMIT');
  if (limit > 0) return Math.max(1, Math.ceil(Math.max(limit, request)));
  return Math.ceil(Math.max(cores * 0.25, request, MIN_WORKERS));
}

// Ends before the kubelet would, so that what is left is closed by us and told of.
function drainDeadline(read: ConfigReader): number {
  const explicit = read.istioDuration('CONNECTION_TERMINATION_DEADLINE', -1);
  if (explicit >= 0) return explicit;
  const grace = read.integer('TERMINATION_GRACE_PERIOD_SECONDS', -1, { min: -1 });
  if (grace < 0) return DEFAULT_DRAIN_MS;
  return Math.max(1, grace > 10 ? grace - 5 : grace - 1) * 1000;
}

/** What decides where certificates come from. */
export function issuerSettings(config: Config): IssuerSettings {
  const { fakeCa, ca, certDir, authToken, secretTtlMs, worker, mode } = config;
  return { fakeCa, ca, certDir, authToken, secretTtlMs, clusterId: worker.clusterId, impersonate: mode === 'shared' };
}

/** The settings as the start line and `/config_dump` show them. */
export function printableConfig(config: Config): Record<string, unknown> {
  return { ...printable(config), localXds: config.localXds ?? null };
}
