// SPDX-License-Identifier: Apache-2.0
// Settings of the node agent: names and defaults as Istio's agent has them, ours with AMBIT_. Each may also be given as a flag,
// --mounted-cni-net-dir for MOUNTED_CNI_NET_DIR. Read once, checked together.
import { parse } from 'yaml';
import { ConfigReader } from '#lib/kit/config.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';
import { parseIp } from '#lib/linux/ip-text.ts';
import { checkSelectors, DEFAULT_SELECTORS, type EnablementSelector } from './enablement.ts';

const MINUTE_MS = 60_000;
/** Connections from before a pod's enrolment may stay this long past the proxy. */
const DEFAULT_OPEN_CONNECTION_MS = 60 * MINUTE_MS;
/** Connections through the proxy may go on this long after their pod left the mesh. */
const DEFAULT_LEAVE_MS = 10 * MINUTE_MS;
/** How often the kernel's state is compared with what should be. */
const DEFAULT_RECONCILE_MS = 30_000;
/** How long an enrolment waits for a proxy to connect before it goes on without one, which cuts the pod off. */
const DEFAULT_PROXY_WAIT_MS = 3000;

export interface CniConfig {
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly systemNamespace: string;
  readonly kubeconfig: string | undefined;
  readonly logLevel: Level;
  readonly logFormat: 'plain' | 'json';
  /** Where the node's folders are seen from here. */
  readonly hostRoot: string;
  readonly hostProc: string;
  readonly cniNetDir: string;
  readonly cniBinDir: string;
  readonly cniConfName: string | undefined;
  readonly chained: boolean;
  readonly runDir: string;
  readonly zdsPath: string;
  readonly excludeNamespaces: readonly string[];
  readonly ambientEnabled: boolean;
  readonly selectors: readonly EnablementSelector[];
  readonly dnsCapture: boolean;
  readonly probes: { readonly ip: string; readonly ip6: string };
  /** Whether host rules are written into the node's namespace, and not into the agent's own. */
  readonly switchToHostNetns: boolean;
  readonly kubeletUid: number | undefined;
  readonly monitoringPort: number;
  readonly healthPort: number;
  readonly openConnectionMs: number;
  readonly leaveMs: number;
  readonly reconcileMs: number;
  readonly proxyWaitMs: number;
  /** Whether the plugin is placed in the node's CNI chain. */
  readonly install: boolean;
  readonly kubeCaFile: string | undefined;
  readonly skipTlsVerify: boolean;
  readonly apiServer: { readonly host: string; readonly port: string; readonly protocol: string } | undefined;
}

/** Flags of the form --a-b=value, as the names of settings; what is unknown is a problem of readConfig. */
export function parseFlags(argv: readonly string[]): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const word of argv) {
    const match = /^--([a-z_-]+)(?:=(.*))?$/.exec(word);
    if (match) flags[match[1]!.replaceAll('-', '_').toUpperCase()] = match[2] ?? 'true';
  }
  return flags;
}

/** Reads every setting; throws CONFIG_INVALID with all that is wrong. */
export function readConfig(argv: readonly string[], lookup: (name: string) => string | undefined): CniConfig {
  const flags = parseFlags(argv);
  const env = new ConfigReader((name) => flags[name] ?? lookup(name));
  const nodeName = env.required('NODE_NAME');
  const level = (flags['LOG_OUTPUT_LEVEL'] ?? 'default:info').replace(/^default:/, '');
  if (!(LEVELS as readonly string[]).includes(level)) {
    env.problem('--log_output_level', `${level} is unknown`, `write one of ${LEVELS.join(', ')}`);
  }
  const host = env.optional('KUBERNETES_SERVICE_HOST');
  const hostRoot = env.string('AMBIT_HOST_ROOT', '/host');
  const config: CniConfig = {
    nodeName,
    podName: env.string('POD_NAME', 'istio-cni-node'),
    podNamespace: env.string('POD_NAMESPACE', 'istio-system'),
    systemNamespace: env.string('SYSTEM_NAMESPACE', 'istio-system'),
    kubeconfig: flags['KUBECONFIG'] ?? env.optional('KUBECONFIG'),
    logLevel: level as Level,
    logFormat: flags['LOG_AS_JSON'] === 'true' ? 'json' : 'plain',
    hostRoot,
    hostProc: env.string('AMBIT_HOST_PROC', `${hostRoot}/proc`),
    cniNetDir: env.string('MOUNTED_CNI_NET_DIR', `${hostRoot}/etc/cni/net.d`),
    cniBinDir: env.string('AMBIT_CNI_BIN_DIR', `${hostRoot}/opt/cni/bin`),
    cniConfName: env.optional('CNI_CONF_NAME'),
    chained: env.boolean('CHAINED_CNI_PLUGIN', true),
    runDir: env.string('CNI_AGENT_RUN_DIR', '/var/run/istio-cni'),
    zdsPath: env.string('ZTUNNEL_UDS_ADDRESS', '/var/run/ztunnel/ztunnel.sock'),
    excludeNamespaces: env.list('EXCLUDE_NAMESPACES'),
    ambientEnabled: env.boolean('AMBIENT_ENABLED', false),
    selectors: readSelectors(env),
    dnsCapture: env.boolean('AMBIENT_DNS_CAPTURE', false),
    probes: {
      ip: readAddress(env, 'HOST_PROBE_SNAT_IP', '169.254.7.127', false),
      ip6: readAddress(env, 'HOST_PROBE_SNAT_IPV6', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff', true),
    },
    switchToHostNetns: env.boolean('ALLOW_SWITCH_TO_HOST_NS', false),
    kubeletUid: env.optional('AMBIT_KUBELET_UID') === undefined ? undefined : env.integer('AMBIT_KUBELET_UID', 0),
    monitoringPort: env.integer('MONITORING_PORT', 15014, { max: 65_535 }),
    healthPort: env.integer('AMBIT_HEALTH_PORT', 8000, { max: 65_535 }),
    openConnectionMs: env.duration('AMBIT_OPEN_CONNECTION_LIMIT', DEFAULT_OPEN_CONNECTION_MS),
    leaveMs: env.duration('AMBIT_LEAVE_LIMIT', DEFAULT_LEAVE_MS),
    reconcileMs: env.duration('AMBIT_RECONCILE_INTERVAL', DEFAULT_RECONCILE_MS),
    proxyWaitMs: env.duration('AMBIT_PROXY_WAIT', DEFAULT_PROXY_WAIT_MS),
    install: env.boolean('AMBIT_INSTALL_PLUGIN', true),
    kubeCaFile: env.optional('KUBE_CA_FILE'),
    skipTlsVerify: env.boolean('SKIP_TLS_VERIFY', false),
    apiServer:
      host === undefined
        ? undefined
        : {
            host,
            port: env.string('KUBERNETES_SERVICE_PORT', '443'),
            protocol: env.string('KUBERNETES_SERVICE_PROTOCOL', 'https'),
          },
  };
  env.assertValid();
  return Object.freeze(config);
}

function readSelectors(env: ConfigReader): readonly EnablementSelector[] {
  const text = env.optional('AMBIENT_ENABLEMENT_SELECTOR');
  if (text === undefined || text.trim() === '') return DEFAULT_SELECTORS;
  try {
    const checked = checkSelectors(parse(text), 'AMBIENT_ENABLEMENT_SELECTOR');
    if (checked.ok) return checked.value;
    for (const { field, fix, message } of checked.problems) env.problem(field, message, fix);
  } catch (error) {
    env.problem('AMBIENT_ENABLEMENT_SELECTOR', `is no YAML: ${String(error)}`);
  }
  return DEFAULT_SELECTORS;
}

function readAddress(env: ConfigReader, name: string, fallback: string, v6: boolean): string {
  const address = env.string(name, fallback);
  if (parseIp(address) === undefined || address.includes(':') !== v6) {
    env.problem(name, `${address} is no ${v6 ? 'IPv6' : 'IPv4'} address`, `write for example ${fallback}`);
  }
  return address;
}
