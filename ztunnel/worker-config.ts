// SPDX-License-Identifier: Apache-2.0
// The part of the settings that data-plane processes need; they get it as their first message.
import type { ConfigReader } from '#lib/kit/config.ts';
import { parseCidr } from '#lib/mesh/cidr.ts';
import { resolversIn, TRY_MS } from '#lib/proxy/dns/resolvers.ts';
import { loadLimits } from '#lib/proxy/settings.ts';
import type { WorkerSettings } from './control.ts';
import { accessLogOf, type LogSettings } from './log-config.ts';
import type { MeshFileSettings } from './mesh-config.ts';

const MARK = 1337;
const EXPLICIT_PORT = 15080;
/** How long the record of a pod of ours may take to arrive, or to come back. */
const RECORD_WAIT_MS = 5000;
/** The one key exchange of COMPLIANCE_POLICY=pqc. */
const POST_QUANTUM = 'X25519MLKEM768';

/** What data-plane processes are told of the settings. */
export function workerSettings(
  read: ConfigReader,
  readFile: (path: string) => string | undefined,
  mode: 'shared' | 'dedicated',
  given: {
    readonly clusterId: string;
    readonly trustDomain: string;
    readonly mesh: MeshFileSettings;
    readonly log: LogSettings;
  },
): WorkerSettings {
  const origSrc = read.optional('ENABLE_ORIG_SRC');
  const clusterRanges = read.list('AMBIT_CLUSTER_RANGES');
  for (const range of clusterRanges) {
    if (parseCidr(range) === undefined)
      read.problem('AMBIT_CLUSTER_RANGES', `${JSON.stringify(range)} is no range`, 'write 10.0.0.0/8');
  }
  const resolv = readFile('/etc/resolv.conf') ?? '';
  const dnsCapture = read.optional('ISTIO_META_DNS_CAPTURE') ?? given.mesh.proxyMetadata['DNS_CAPTURE'] ?? 'true';
  return {
    nodeName: read.string('NODE_NAME', ''),
    network: read.string('NETWORK', ''),
    clusterId: given.clusterId,
    clusterDomain: read.string('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: given.trustDomain,
    ipv6: read.boolean('IPV6_ENABLED', true),
    mark: read.integer('PACKET_MARK', mode === 'shared' ? MARK : 0, { max: 0xffffffff }),
    ports: { outbound: 15001, inbound: 15006, hbone: 15008, dns: 15053 },
    explicitPort: read.boolean('UNSTABLE_ENABLE_SOCKS5', false) ? EXPLICIT_PORT : 0,
    reusePort: read.boolean('INPOD_PORT_REUSE', true),
    originalSource:
      origSrc === undefined || origSrc === '' ? 'auto' : read.boolean('ENABLE_ORIG_SRC', true) ? 'required' : 'off',
    keepalive: read.boolean('KEEPALIVE_ENABLED', true)
      ? {
          idleMs: read.istioDuration('KEEPALIVE_TIME', 180_000),
          intervalMs: read.istioDuration('KEEPALIVE_INTERVAL', 180_000),
          probes: read.integer('KEEPALIVE_RETRIES', 9, { min: 1, max: 127 }),
        }
      : null,
    userTimeout: read.boolean('USER_TIMEOUT_ENABLED', false),
    http2: {
      streamWindow: read.integer('HTTP2_STREAM_WINDOW_SIZE', 4 << 20, { min: 65_535, max: 0x7fffffff }),
      connectionWindow: read.integer('HTTP2_CONNECTION_WINDOW_SIZE', 16 << 20, { min: 65_535, max: 0x7fffffff }),
      frameSize: read.integer('HTTP2_FRAME_SIZE', 1 << 20, { min: 16_384, max: 16_777_215 }),
    },
    pool: {
      streamsPerConnection: read.integer('POOL_MAX_STREAMS_PER_CONNECTION', 100, { min: 1, max: 65_535 }),
      idleMs: read.istioDuration('POOL_UNUSED_RELEASE_TIMEOUT', 300_000),
    },
    tls: {
      tls12: read.boolean('TLS12_ENABLED', false),
      groups: read.oneOf('COMPLIANCE_POLICY', ['', 'pqc'], '') === 'pqc' ? POST_QUANTUM : null,
    },
    connectTimeoutMs: 10_000,
    connectReplyMs: read.duration('AMBIT_CONNECT_REPLY_TIMEOUT', 30_000),
    connectAttempts: read.integer('AMBIT_CONNECT_ATTEMPTS', 3, { min: 1, max: 16 }),
    responseBaggage: read.boolean('ENABLE_RESPONSE_BAGGAGE', true),
    localhostAppTunnel: read.boolean('LOCALHOST_APP_TUNNEL', true),
    sameNode: read.oneOf('AMBIT_SAME_NODE', ['join', 'tunnel'], 'join'),
    unknownAddress: {
      clusterRanges,
      waitMs: read.duration('AMBIT_UNKNOWN_ADDRESS_WAIT', 200),
      outcome: read.oneOf('AMBIT_UNKNOWN_ADDRESS', ['pass', 'refuse'], 'pass'),
    },
    proofsPerSecond: read.integer('AMBIT_PROOFS_PER_SECOND', 10, { min: 0, max: 10_000 }),
    onDemand: read.boolean('XDS_ON_DEMAND', false),
    recordWaitMs: RECORD_WAIT_MS,
    unknownPolicyWaitMs: read.duration('AMBIT_UNKNOWN_POLICY_WAIT', 5000),
    ...loadLimits(read),
    podLimits: {
      connections: read.integer('AMBIT_POD_CONNECTIONS_PER_SECOND', 0, { min: 0 }),
      handshakes: read.integer('AMBIT_POD_HANDSHAKES_PER_SECOND', 0, { min: 0 }),
    },
    dns: {
      enabled: dnsCapture === 'true' && read.boolean('AMBIT_DNS', mode === 'shared'),
      servers: resolversIn(resolv),
      tryMs: TRY_MS,
      preferredServiceNamespace: read.optional('PREFERED_SERVICE_NAMESPACE') ?? null,
      searchDomains: mode === 'dedicated' ? (/^search\s+(.*)$/m.exec(resolv)?.[1]?.trim().split(/\s+/) ?? []) : null,
    },
    httpMetrics: {
      mode: read.oneOf('AMBIT_HTTP_METRICS', ['labelled', 'all', 'off'], 'labelled'),
      cpuShare: read.integer('AMBIT_HTTP_METRICS_CPU_PERCENT', 5, { min: 1, max: 100 }) / 100,
      maxConnections: read.integer('AMBIT_HTTP_METRICS_CONNECTIONS', 1000, { min: 1 }),
    },
    accessLog: { ...accessLogOf(given.log), format: given.log.format },
  };
}
