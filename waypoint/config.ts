// SPDX-License-Identifier: Apache-2.0
// The waypoint's settings, read once from the environment. Names of Istio's variables are kept; ours begin with AMBIT_. Every bad
// value is reported in one error.
import { ConfigReader } from '#lib/kit/config.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';
import type { IssuerSettings } from '#lib/proxy/identity/issuer.ts';
import type { ServerSettings } from '#lib/proxy/source/server-access.ts';
import type { WorkerSettings } from './control.ts';

export interface Config {
  readonly pod: { readonly name: string; readonly namespace: string; readonly ip: string };
  /** SPIFFE URI of this proxy. */
  readonly identity: string;
  readonly xds: ServerSettings | undefined;
  readonly ca: ServerSettings;
  readonly fakeCa: boolean;
  /** File with the token for both servers, or the token itself; '' sends none. */
  readonly authToken: string;
  readonly secretTtlMs: number;
  readonly localFile: string | undefined;
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  readonly workers: number;
  readonly drainMs: number;
  readonly admin: { readonly port: number; readonly statsPort: number; readonly readyPort: number };
  readonly storeBytes: number;
  readonly storeRecords: number;
  readonly log: { readonly level: Level; readonly format: 'plain' | 'json' };
  readonly worker: WorkerSettings;
}

/** What the settings come from; tests give maps. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of a file, undefined when there is none. */
  readonly readFile: (path: string) => string | undefined;
  readonly cores: number;
}

const TOKEN_FILE = '/var/run/secrets/tokens/istio-token';
const ROOT_FILE = '/var/run/secrets/istio/root-cert.pem';
/** Ends before the kubelet would (30 s), so that what is left is closed by us and told of. */
const DEFAULT_DRAIN_MS = 20_000;
const HBONE_PORT = 15008;

/** Throws CONFIG_INVALID, naming every bad variable. */
export function loadConfig({ cores, env, readFile }: World): Config {
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
    xds: address === '' ? undefined : server(read, 'XDS', address),
    ca: server(read, 'CA', read.optional('CA_ADDRESS') ?? (address === '' ? 'http://localhost' : address)),
    fakeCa: read.boolean('FAKE_CA', false),
    authToken: read.optional('AUTH_TOKEN') ?? (readFile(TOKEN_FILE) === undefined ? '' : TOKEN_FILE),
    secretTtlMs: read.duration('SECRET_TTL', 86_400_000),
    localFile,
    nodeMetadata: nodeMetadata(read, env),
    workers: read.integer('AMBIT_WORKERS', Math.max(1, Math.min(cores, 8)), { min: 1, max: 64 }),
    drainMs: read.duration('TERMINATION_DRAIN_DURATION', DEFAULT_DRAIN_MS),
    admin: {
      port: read.integer('AMBIT_ADMIN_PORT', 15000, { min: 0, max: 65535 }),
      statsPort: read.integer('AMBIT_STATS_PORT', 15020, { min: 0, max: 65535 }),
      readyPort: read.integer('AMBIT_READY_PORT', 15021, { min: 0, max: 65535 }),
    },
    storeBytes: read.integer('AMBIT_STORE_BYTES', 256 << 20, { min: 1 << 20, max: 0x7f000000 }),
    storeRecords: read.integer('AMBIT_STORE_RECORDS', 400_000, { min: 1000, max: 8_000_000 }),
    log: {
      level: read.oneOf('LOG_LEVEL', LEVELS, 'info'),
      format: read.oneOf('LOG_FORMAT', ['plain', 'json'], 'plain'),
    },
    worker: {
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
      maxConnections: read.optional('AMBIT_MAX_CONNECTIONS')
        ? read.integer('AMBIT_MAX_CONNECTIONS', 10_000, { min: 1 })
        : null,
      byteBudget: read.integer('AMBIT_BYTE_BUDGET', 256 << 20, { min: 16 << 20 }),
      accessLog: {
        enabled: read.oneOf('AMBIT_ACCESS_LOG', ['off', 'text', 'json'], 'text') !== 'off',
        format: read.oneOf('AMBIT_ACCESS_LOG', ['off', 'text', 'json'], 'text') === 'json' ? 'json' : 'text',
      },
    },
  };
  read.assertValid();
  return Object.freeze(config);
}

function server(read: ConfigReader, kind: 'XDS' | 'CA', address: string): ServerSettings {
  const text = address.includes('://') ? address : `https://${address}`;
  if (!URL.canParse(text))
    read.problem(
      `${kind}_ADDRESS`,
      `${JSON.stringify(address)} is no address`,
      'write https://istiod.istio-system.svc:15012',
    );
  return {
    url: new URL(URL.canParse(text) ? text : 'https://localhost'),
    rootCa: read.string(`${kind}_ROOT_CA`, ROOT_FILE),
    alternativeName: read.optional(`ALT_${kind}_HOSTNAME`),
    headers: {},
  };
}

function nodeMetadata(read: ConfigReader, env: World['env']): Record<string, unknown> {
  const metadata: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (key.startsWith('ISTIO_META_')) metadata[key.slice('ISTIO_META_'.length)] = value;
    else if (key.startsWith('ISTIO_METAJSON_')) {
      try {
        metadata[key.slice('ISTIO_METAJSON_'.length)] = JSON.parse(value);
      } catch {
        read.problem(key, 'is no JSON', 'write a JSON value');
      }
    }
  }
  return metadata;
}

/** What decides where certificates come from. */
export function issuerSettings({ authToken, ca, fakeCa, secretTtlMs, worker }: Config): IssuerSettings {
  return { fakeCa, ca, authToken, secretTtlMs, clusterId: worker.clusterId, impersonate: false };
}

/** The settings as the start line and `/config_dump` show them. */
export function printableConfig(config: Config): Record<string, unknown> {
  return {
    ...config,
    authToken: config.authToken === '' ? null : 'set',
    xds: config.xds?.url.href ?? null,
    ca: config.fakeCa ? 'FAKE_CA' : config.ca.url.href,
  };
}
