// SPDX-License-Identifier: Apache-2.0
// Settings of istiod: flags as Istio's own has them, the rest from the environment. Read once, checked together.

import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { ConfigReader, parseDuration } from '#lib/kit/config.ts';
import { AmbitError } from '#lib/kit/error.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';
import { VERSION } from '#lib/kit/version.ts';
import { LEASE_SECONDS } from '#lib/kube/leader.ts';
import { DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import type { ServingFiles } from './ca/serving-files.ts';
import { isRange } from './serve/forwarded.ts';
import { type IssuerRule, readIssuerRule } from './serve/issuer-rule.ts';

/** Cluster id of a mesh of one cluster. */
const DEFAULT_CLUSTER_ID = 'Kubernetes';
/** A change waits at most this long for others to join it, once something was sent recently. */
const DEFAULT_DEBOUNCE_AFTER_MS = 100;
/** A mesh that changes without pause is still told after this long. */
const DEFAULT_DEBOUNCE_MAX_MS = 10_000;
const HOUR_MS = 3_600_000;
/** Old connections are closed so that clients spread over replicas again. */
const DEFAULT_CONNECTION_AGE_MS = HOUR_MS / 2;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface IstiodConfig {
  readonly httpAddress: HostPort;
  readonly grpcAddress: HostPort;
  readonly secureGrpcAddress: HostPort;
  readonly monitoringAddress: HostPort;
  /** The validating webhook's port; undefined when it is turned off. */
  readonly webhookAddress: HostPort | undefined;
  /** Where log levels are shown and changed; undefined when it is turned off. */
  readonly controlAddress: HostPort | undefined;
  /** What is to happen to objects while no webhook answers, once one has. */
  readonly failurePolicy: 'Fail' | 'Ignore';
  /** DNS domain of the cluster. */
  readonly domain: string;
  readonly clusterId: string;
  readonly kubeconfig: string | undefined;
  /** A folder of YAML files to serve; there is no Kubernetes then. */
  readonly sourceFolder: string | undefined;
  /** Where the root and other state are kept when there is no Kubernetes. */
  readonly stateFolder: string;
  readonly logLevel: Level;
  readonly logFormat: 'plain' | 'json';
  readonly maxConnectionAgeMs: number;
  /** A file with mesh settings, used until the ConfigMap `istio` exists. */
  readonly meshConfigFile: string | undefined;
  readonly podName: string;
  /** The namespace istiod runs in, and by default the mesh's root namespace. */
  readonly namespace: string;
  /** Own revision; empty takes every object, whatever its label says. */
  readonly revision: string;
  /** Trust domain until the mesh's settings name another. */
  readonly trustDomain: string;
  readonly autoAllowWaypoints: boolean;
  readonly dryRunPolicies: boolean;
  /** Whether machines may register with WorkloadGroups. */
  readonly registerMachines: boolean;
  /** How long a registered machine may be gone before its entry is. */
  readonly registrationGraceMs: number;
  /** How long the start waits for remote clusters. */
  readonly remotePatienceMs: number;
  /** Unsafe ways of remote kubeconfigs that are let pass: exec, clientKey, … */
  readonly allowedKubeconfigWays: readonly string[];
  /** Whether hosts of ServiceEntries without addresses are given some. */
  readonly giveAddresses: boolean;
  readonly entriesSelectPods: boolean;
  readonly servicesSelectEntries: boolean;
  /** Whether a WorkloadEntry whose probe failed gets no traffic. */
  readonly entryHealth: boolean;
  /** `<namespace>/<service account>` of the node proxies that may ask for other identities. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly tokenAudiences: readonly string[];
  /** An issuer of one's own, whose tokens prove accounts; undefined for none. */
  readonly issuerRule: IssuerRule | undefined;
  /** Addresses of gateways that may say by a header whose certificate they have verified. */
  readonly trustedGateways: readonly string[];
  /** Whether callers of the TLS port must show a token. */
  readonly authenticate: boolean;
  /** Whether callers of the plaintext port must show a token, too. */
  readonly authenticatePlaintext: boolean;
  /** Whether a client's node must lie in the namespace of its identity. */
  readonly checkNodeIdentity: boolean;
  readonly debounceAfterMs: number;
  readonly debounceMaxMs: number;
  readonly defaultCertificateTtlMs: number;
  readonly maxCertificateTtlMs: number;
  readonly rootTtlMs: number;
  /** How often the root's age is looked at. */
  readonly rootCheckMs: number;
  /** The root is renewed when less of its life is left, in percent. */
  readonly rootGracePercent: number;
  /** Signer of a Kubernetes CertificateSigningRequest that signs in our stead; empty for none. */
  readonly externalSigner: string;
  /** Domain of the signers among which callers may choose; empty for none. */
  readonly signerDomain: string;
  /** Certificates a caller may ask for in a second, and at once after a silence. */
  readonly certificatesPerSecond: number;
  readonly certificateBurst: number;
  /** Folder of a plugged-in certificate authority. */
  readonly caFolder: string;
  /** Whether a root of our own is kept in the Secret `cacerts`, marked as ours. */
  readonly rootInPluggedSecret: boolean;
  /** Whether the root is published as a ClusterTrustBundle, too. */
  readonly writeTrustBundle: boolean;
  /** istiod's own certificate, where an operator has it made. */
  readonly servingFiles: ServingFiles;
  /** More names for istiod's own certificate. */
  readonly customHosts: readonly string[];
  readonly rootConfigMap: string;
  readonly crlConfigMap: string;
  /** Config map in istiod's namespace with the mesh's settings under the key `mesh`. */
  readonly meshConfigMap: string;
  readonly writeStatus: boolean;
  /** Where versions of the configuration are kept; empty for nowhere. */
  readonly historyFolder: string;
  /** How long a replica's right to write lasts without being renewed. */
  readonly leaseSeconds: number;
  readonly historyVersions: number;
  /** Whether what Gateways need is run for them. */
  readonly deployGateways: boolean;
  /** Whether GatewayClasses that are missing are created. */
  readonly createGatewayClasses: boolean;
  /** Leaves Gateways of Istio's own classes to an Istio in the same cluster. */
  readonly ownClassesOnly: boolean;
  /** Image of the proxies that are run for Gateways. */
  readonly proxyImage: string;
  /** How key sets of RequestAuthentications are fetched. */
  readonly keySets: {
    readonly refreshMs: number;
    readonly retryMs: number;
    readonly blockedRanges: readonly string[];
  };
  /** Name of istiod's own Service. */
  readonly serviceName: string;
  readonly shutdownMs: number;
}

export interface ParsedArguments {
  readonly command: 'discovery' | 'version' | 'help';
  readonly flags: Readonly<Record<string, string>>;
  /** Text to print for `help`. */
  readonly output: string;
}

/** Takes the command line apart; throws CONFIG_INVALID naming what it does not know. */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  let output = '';
  let command: ParsedArguments['command'] = 'help';
  let flags: Record<string, string> = {};
  const program = new Command('istiod')
    .description('The control plane of the mesh: watches Kubernetes, tells node proxies, signs certificates.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => (output += text), writeErr: (text) => (output += text) });
  program
    .command('discovery')
    .description('serve')
    .option('--httpAddr <address>', 'readiness and debug pages', ':8080')
    .option('--grpcAddr <address>', 'xDS in plaintext', ':15010')
    .option('--secureGRPCAddr <address>', 'xDS and certificates over TLS', ':15012')
    .option('--monitoringAddr <address>', 'metrics', ':15014')
    .option('--httpsAddr <address>', 'validating webhook; empty turns it off', ':15017')
    .option('--ctrlz_address <address>', 'log levels are changed here', '127.0.0.1')
    .option('--ctrlz_port <port>', 'log levels are changed here; 0 turns it off', '9876')
    .option('--domain <domain>', 'DNS domain of the cluster', 'cluster.local')
    .option('--clusterID <id>', 'name of this cluster (default: CLUSTER_ID, else Kubernetes)')
    .option('--kubeconfig <file>', 'API server to watch (default: KUBECONFIG, else the service account)')
    .option('--sourceDir <folder>', 'folder of YAML files to serve, instead of an API server')
    .option('--stateDir <folder>', 'where to keep the root and other state beside --sourceDir (default: its .istiod)')
    .option('--log_output_level <levels>', 'as in default:info', 'default:info')
    .option('--log_as_json', 'log JSON objects')
    .option('--meshConfig <file>', 'mesh settings until the ConfigMap istio exists')
    .option('--tlsCertFile <file>', 'own certificate (default: /var/run/secrets/istiod/tls/tls.crt, if there)')
    .option('--tlsKeyFile <file>', 'its key (default: /var/run/secrets/istiod/tls/tls.key, if there)')
    .option('--keepaliveMaxServerConnectionAge <duration>', 'how old a connection may grow', '30m')
    .option('--shutdownDuration <duration>', 'how long to let calls finish', '10s')
    .action((options: Record<string, string | boolean>) => {
      command = 'discovery';
      flags = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)]));
    });
  program
    .command('version')
    .description('print the version')
    .action(() => {
      command = 'version';
    });
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const asked = error.code === 'commander.helpDisplayed' || error.code === 'commander.help';
    if (!asked)
      throw new AmbitError('CONFIG_INVALID', error.message.replace(/^error: /, ''), { advice: 'see istiod --help' });
  }
  return { command, flags, output: output === '' ? program.helpInformation() : output };
}

/** Reads every setting and freezes the lot; throws CONFIG_INVALID with all that is wrong. */
export function readConfig(
  flags: Readonly<Record<string, string>>,
  lookup: (name: string) => string | undefined,
): IstiodConfig {
  const env = new ConfigReader(lookup);
  const address = (flag: string, fallback: string): HostPort => {
    const text = flags[flag] ?? fallback;
    const found = parseAddress(text);
    if (found === undefined)
      env.problem(`--${flag}`, `${JSON.stringify(text)} is no address`, `write for example ${fallback}`);
    return found ?? { host: '', port: 0 };
  };
  const duration = (flag: string, fallbackMs: number): number => {
    const text = flags[flag];
    if (text === undefined) return fallbackMs;
    const found = parseDuration(text);
    if (found === undefined)
      env.problem(`--${flag}`, `${JSON.stringify(text)} is no duration`, 'write for example 30m');
    return found ?? fallbackMs;
  };
  const issuerRule = (): IssuerRule | undefined => {
    const text = env.string('JWT_RULE', '');
    if (text === '') return undefined;
    const read = readIssuerRule(text);
    if (read.ok) return read.value;
    for (const { field, fix = '', message } of read.problems) env.problem(field, message, fix);
    return undefined;
  };
  const controlAddress = (): HostPort | undefined => {
    const port = flags['ctrlz_port'] ?? '9876';
    if (port === '0') return undefined;
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
      env.problem('--ctrlz_port', `${JSON.stringify(port)} is no port`, 'write for example 9876');
    }
    const host = flags['ctrlz_address'] ?? '127.0.0.1';
    return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(port) };
  };
  const level = parseLevel(flags['log_output_level'] ?? 'info');
  if (level === undefined) {
    env.problem('--log_output_level', `${flags['log_output_level']} is unknown`, `write one of ${LEVELS.join(', ')}`);
  }
  const namespace = env.string('POD_NAMESPACE', 'istio-system');
  const defaultTtl = env.duration('DEFAULT_WORKLOAD_CERT_TTL', 24 * HOUR_MS);
  const maxTtl = env.duration('MAX_WORKLOAD_CERT_TTL', 2160 * HOUR_MS);
  if (defaultTtl > maxTtl) {
    env.problem('DEFAULT_WORKLOAD_CERT_TTL', 'is longer than MAX_WORKLOAD_CERT_TTL', 'lower it, or raise the maximum');
  }
  const config: IstiodConfig = {
    httpAddress: address('httpAddr', ':8080'),
    grpcAddress: address('grpcAddr', ':15010'),
    secureGrpcAddress: address('secureGRPCAddr', ':15012'),
    monitoringAddress: address('monitoringAddr', ':15014'),
    webhookAddress: flags['httpsAddr'] === '' ? undefined : address('httpsAddr', ':15017'),
    controlAddress: controlAddress(),
    failurePolicy: env.string('AMBIT_VALIDATION_FAILURE_POLICY', 'Fail') === 'Ignore' ? 'Ignore' : 'Fail',
    domain: flags['domain'] ?? 'cluster.local',
    clusterId: flags['clusterID'] ?? env.string('CLUSTER_ID', DEFAULT_CLUSTER_ID),
    sourceFolder: flags['sourceDir'],
    stateFolder: flags['stateDir'] ?? join(flags['sourceDir'] ?? '.', '.istiod'),
    kubeconfig: flags['kubeconfig'] ?? env.optional('KUBECONFIG'),
    logLevel: level ?? 'info',
    logFormat: flags['log_as_json'] === 'true' ? 'json' : 'plain',
    maxConnectionAgeMs: duration('keepaliveMaxServerConnectionAge', DEFAULT_CONNECTION_AGE_MS),
    meshConfigFile: flags['meshConfig'],
    podName: env.string('POD_NAME', 'istiod'),
    namespace,
    revision: env.string('REVISION', ''),
    trustDomain: env.string('TRUST_DOMAIN', DEFAULT_TRUST_DOMAIN),
    autoAllowWaypoints: env.boolean('PILOT_AUTO_ALLOW_WAYPOINT_POLICY', false),
    dryRunPolicies: env.boolean('AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY', false),
    registerMachines: env.boolean('PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION', true),
    registrationGraceMs: env.duration('PILOT_WORKLOAD_ENTRY_GRACE_PERIOD', 10_000),
    remotePatienceMs: env.duration('PILOT_REMOTE_CLUSTER_TIMEOUT', 30_000),
    allowedKubeconfigWays: env.list('PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS'),
    giveAddresses: env.boolean('PILOT_ENABLE_IP_AUTOALLOCATE', true),
    entriesSelectPods: env.boolean('PILOT_ENABLE_SERVICEENTRY_SELECT_PODS', true),
    servicesSelectEntries: env.boolean('PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES', true),
    entryHealth: env.boolean('AMBIT_WORKLOAD_ENTRY_HEALTH', true),
    trustedNodeAccounts: new Set(env.list('CA_TRUSTED_NODE_ACCOUNTS', [`${namespace}/ztunnel`])),
    tokenAudiences: env.list('TOKEN_AUDIENCES', ['istio-ca']),
    issuerRule: issuerRule(),
    trustedGateways: env.list('TRUSTED_GATEWAY_CIDR'),
    authenticate: env.boolean('XDS_AUTH', true),
    authenticatePlaintext: env.boolean('XDS_AUTH_PLAINTEXT', false),
    checkNodeIdentity: env.boolean('PILOT_ENABLE_XDS_IDENTITY_CHECK', true),
    debounceAfterMs: env.duration('PILOT_DEBOUNCE_AFTER', DEFAULT_DEBOUNCE_AFTER_MS),
    debounceMaxMs: env.duration('PILOT_DEBOUNCE_MAX', DEFAULT_DEBOUNCE_MAX_MS),
    defaultCertificateTtlMs: defaultTtl,
    maxCertificateTtlMs: maxTtl,
    rootTtlMs: env.duration('CITADEL_SELF_SIGNED_CA_CERT_TTL', 87_600 * HOUR_MS),
    rootCheckMs: env.duration('CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL', HOUR_MS),
    rootGracePercent: env.integer('CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE', 20, { max: 100 }),
    externalSigner: env.string('EXTERNAL_CA', '') === 'ISTIOD_RA_KUBERNETES_API' ? env.string('K8S_SIGNER', '') : '',
    signerDomain: env.string('CERT_SIGNER_DOMAIN', ''),
    certificatesPerSecond: env.integer('AMBIT_CA_REQUESTS_PER_SECOND', 50, { min: 1 }),
    certificateBurst: env.integer('AMBIT_CA_REQUESTS_BURST', 1_000, { min: 1 }),
    caFolder: env.string('ROOT_CA_DIR', '/etc/cacerts'),
    rootInPluggedSecret: env.boolean('USE_CACERTS_FOR_SELF_SIGNED_CA', false),
    writeTrustBundle: env.boolean('ENABLE_CLUSTER_TRUST_BUNDLE_API', false),
    servingFiles: {
      certificate: flags['tlsCertFile'] ?? '/var/run/secrets/istiod/tls/tls.crt',
      key: flags['tlsKeyFile'] ?? '/var/run/secrets/istiod/tls/tls.key',
    },
    customHosts: env.list('ISTIOD_CUSTOM_HOST'),
    rootConfigMap: env.string('PILOT_CA_CERT_CONFIGMAP', 'istio-ca-root-cert'),
    crlConfigMap: env.string('PILOT_CRL_CONFIGMAP', 'istio-ca-crl'),
    meshConfigMap: env.string('AMBIT_MESH_CONFIGMAP', 'istio'),
    historyFolder: env.string('AMBIT_HISTORY_FOLDER', ''),
    leaseSeconds: env.duration('AMBIT_LEASE_DURATION', LEASE_SECONDS * 1000) / 1000,
    historyVersions: env.integer('AMBIT_HISTORY_VERSIONS', 1_000, { min: 2 }),
    writeStatus: env.boolean('AMBIENT_ENABLE_STATUS', true),
    deployGateways: env.boolean('PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER', true),
    createGatewayClasses: env.boolean('PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER', true),
    ownClassesOnly: env.boolean('AMBIT_OWN_GATEWAY_CLASSES_ONLY', false),
    proxyImage: env.string('AMBIT_WAYPOINT_IMAGE', `ambit/waypoint:${VERSION}`),
    keySets: {
      refreshMs: env.duration('PILOT_JWT_PUB_KEY_REFRESH_INTERVAL', HOUR_MS / 3),
      retryMs: 60_000,
      blockedRanges: env.list('BLOCKED_CIDRS_IN_JWKS_URIS'),
    },
    serviceName: env.string('AMBIT_ISTIOD_SERVICE', 'istiod'),
    shutdownMs: duration('shutdownDuration', 10_000),
  };
  for (const account of config.trustedNodeAccounts) {
    if (!/^[^/]+\/[^/]+$/.test(account)) {
      env.problem(
        'CA_TRUSTED_NODE_ACCOUNTS',
        `${JSON.stringify(account)} is no account`,
        'write <namespace>/<service account>',
      );
    }
  }
  for (const range of config.trustedGateways.filter((text) => !isRange(text))) {
    env.problem(
      'TRUSTED_GATEWAY_CIDR',
      `${JSON.stringify(range)} is no address or range`,
      'write for example 10.0.0.0/8',
    );
  }
  if (env.string('EXTERNAL_CA', '') !== '' && config.externalSigner === '') {
    env.problem('EXTERNAL_CA', 'names no signer', 'set EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API and K8S_SIGNER=<signer>');
  }
  env.assertValid();
  return Object.freeze(config);
}

/** `:8080`, `127.0.0.1:8080` or `[::1]:8080`; no host means every address. */
export function parseAddress(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] === undefined || match[2] === '' ? '::' : match[2]), port };
}

/** The default scope's level of `default:info,ads:debug`, or a bare level. */
function parseLevel(text: string): Level | undefined {
  const items = text.split(',').map((item) => item.split(':'));
  const chosen = items.find(([scope]) => scope === 'default') ?? items[0];
  const name = (chosen?.[1] ?? chosen?.[0] ?? '').replace(/^warning$/, 'warn').replace(/^none$/, 'off');
  return LEVELS.find((level) => level === name);
}
