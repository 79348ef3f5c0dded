// SPDX-License-Identifier: Apache-2.0
// The waypoint's settings, read once from the environment. Names of Istio's variables are kept; ours begin with AMBIT_. Every bad
// value is reported in one error.
import { ConfigReader } from '#lib/kit/config.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';
import { resolversIn } from '#lib/proxy/dns/resolvers.ts';
import type { IssuerSettings } from '#lib/proxy/identity/issuer.ts';
import {
  certificateSettings,
  loadLimits,
  nodeMetadata,
  noServer,
  type ProxySettings,
  printable,
  serverSettings,
  storeSettings,
  type World,
} from '#lib/proxy/settings.ts';
import type { WorkerSettings } from './control.ts';

export interface Config extends ProxySettings {
  readonly pod: { readonly name: string; readonly namespace: string; readonly ip: string };
  /** SPIFFE URI of this proxy. */
  readonly identity: string;
  readonly localFile: string | undefined;
  readonly log: { readonly level: Level; readonly format: 'plain' | 'json' };
  /** Variables that telemetry settings may name: tags of spans, and fields of access logs. */
  readonly environment: (name: string) => string | undefined;
  readonly worker: WorkerSettings;
  /** File of revocation lists. */
  readonly crlPath: string | undefined;
}

/** Where Debian has them, and images made from it. */
const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';
/** Ends before the kubelet would (30 s), so that what is left is closed by us and told of. */
const DEFAULT_DRAIN_MS = 20_000;
const HBONE_PORT = 15008;

/** Throws CONFIG_INVALID, naming every bad variable. */
export function loadConfig(world: World): Config {
  const { cores, env } = world;
  const read = new ConfigReader((name) => env[name]);
  const namespace = read.string('POD_NAMESPACE', 'default');
  const account = read.string('SERVICE_ACCOUNT', 'default');
  const trustDomain = read.string('TRUST_DOMAIN', 'cluster.local');
  const clusterId = env['ISTIO_META_CLUSTER_ID'] ?? read.string('CLUSTER_ID', 'Kubernetes');
  const name = read.string('POD_NAME', 'waypoint');
  const identity = `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;
  const localFile = read.optional('AMBIT_WAYPOINT_FILE');
  const xdsDefault = localFile === undefined ? 'https://istiod.istio-system.svc:15012' : '';
  const address = read.string('XDS_ADDRESS', xdsDefault);
  const config: Config = {
    pod: { name, namespace, ip: read.string('INSTANCE_IP', '') },
    identity,
    xds: serverSettings(read, world, 'XDS', address, '/'),
    ca: serverSettings(read, world, 'CA', read.optional('CA_ADDRESS') ?? address, '/') ?? noServer('http://localhost'),
    ...certificateSettings(read, world, '/'),
    localFile,
    nodeMetadata: {
      ...(world.version === undefined ? {} : { ISTIO_VERSION: world.version }),
      ...nodeMetadata(read, world),
    },
    workers: read.integer('AMBIT_WORKERS', Math.max(1, Math.min(cores, 8)), { min: 1, max: 64 }),
    drainMs: read.duration('TERMINATION_DRAIN_DURATION', DEFAULT_DRAIN_MS),
    admin: {
      port: read.integer('AMBIT_ADMIN_PORT', 15000, { min: 0, max: 65535 }),
      statsPort: read.integer('AMBIT_STATS_PORT', 15020, { min: 0, max: 65535 }),
      readyPort: read.integer('AMBIT_READY_PORT', 15021, { min: 0, max: 65535 }),
    },
    ...storeSettings(read),
    log: {
      level: read.oneOf('LOG_LEVEL', LEVELS, 'info'),
      format: read.oneOf('LOG_FORMAT', ['plain', 'json'], 'plain'),
    },
    environment: (name) => env[name],
    crlPath: read.optional('CRL_PATH'),
    worker: {
      podName: name,
      spansOfTries: read.boolean('AMBIT_TRACE_TRIES', false),
      gateway: `${namespace}/${env['ISTIO_META_GATEWAY_NAME'] ?? account}`,
      identity,
      trustDomain,
      network: read.string('NETWORK', ''),
      ip: read.string('INSTANCE_IP', ''),
      clusterId,
      nodeName: read.string('NODE_NAME', ''),
      hbonePort: read.integer('AMBIT_HBONE_PORT', HBONE_PORT, { min: 0, max: 65535 }),
      bind: read.string('AMBIT_BIND', '::'),
      anyPort: read.boolean('AMBIT_ANY_PORT', false),
      connectTimeoutMs: read.duration('AMBIT_CONNECT_TIMEOUT', 10_000),
      idleMs: read.duration('AMBIT_IDLE_TIMEOUT', 3_600_000),
      headMs: read.duration('AMBIT_HEAD_TIMEOUT', 60_000),
      stallMs: read.duration('AMBIT_STALL_TIMEOUT', 300_000),
      ...loadLimits(read),
      systemRoots: read.string('SSL_CERT_FILE', SYSTEM_ROOTS),
      resolvers: read.list('AMBIT_RESOLVERS', resolversIn(world.readFile('/etc/resolv.conf') ?? '')),
      accessLog: {
        enabled: read.oneOf('AMBIT_ACCESS_LOG', ['off', 'text', 'json'], 'text') !== 'off',
        format: read.oneOf('AMBIT_ACCESS_LOG', ['off', 'text', 'json'], 'text') === 'json' ? 'json' : 'text',
      },
    },
  };
  read.assertValid();
  return Object.freeze(config);
}

/** What decides where certificates come from. */
export function issuerSettings({ authToken, ca, fakeCa, secretTtlMs, worker }: Config): IssuerSettings {
  return { fakeCa, ca, authToken, secretTtlMs, clusterId: worker.clusterId, impersonate: false };
}

/** The settings as the start line and `/config_dump` show them. */
export function printableConfig(config: Config): Record<string, unknown> {
  return { ...printable(config), environment: undefined };
}
