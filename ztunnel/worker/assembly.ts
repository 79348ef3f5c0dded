// SPDX-License-Identifier: Apache-2.0
// Builds what one data-plane process shares, from the settings that main sends first.
import { randomFillSync } from 'node:crypto';
import { AmbitError } from '#lib/kit/error.ts';
import type { DialOptions } from '#lib/linux/socket.ts';
import type { WorkerContext } from '#lib/loop/worker.ts';
import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { DnsForwarder, resolverAt } from '#lib/proxy/dns/forwarder.ts';
import { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import { CutLog } from '#lib/proxy/worker/cut-log.ts';
import { FadeLooks } from '#lib/proxy/worker/fading.ts';
import { HeldReport } from '#lib/proxy/worker/held-report.ts';
import { openStore, workerParts } from '#lib/proxy/worker/parts.ts';
import { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import type { TunnelGroup } from '#lib/proxy/worker/tunnel-judge.ts';
import { NODE_TUNNEL_LIMITS, TUNNEL_USER_TIMEOUT_MS } from '#lib/proxy/worker/tunnel-options.ts';
import { TunnelShare } from '#lib/proxy/worker/tunnel-share.ts';
import { HBONE_CLIENT, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { ToMain, WorkerSettings } from '../control.ts';
import { VerdictMemory } from '../inbound/verdict-memory.ts';
import { HttpMetrics } from './http-metrics.ts';
import { MeshWaits } from './mesh-waits.ts';
import { RecentConnections } from './recent.ts';
import type { Runtime } from './runtime.ts';
import { Telemetry } from './telemetry.ts';
import { TraceIds } from './trace-ids.ts';

/** `tunnels`: those that are open, by the identity at this end. Throws WORKER_MEMORY and WORKER_RANGE. */
export function assemble(
  context: WorkerContext,
  settings: WorkerSettings,
  toMain: (message: ToMain) => void,
  tunnels: () => Iterable<TunnelGroup>,
): Runtime {
  const { loop } = context;
  const parts = workerParts(context, openStore(context), settings.maxConnections);
  // As of the turn: a line's time is when its connection's turn began, and a turn's lines share their text.
  const { timeOrigin } = performance;
  const now = () => timeOrigin + loop.now;
  const telemetry = telemetryOf(context, settings, parts.mesh, toMain, now);
  const httpMetrics = new HttpMetrics(
    settings.httpMetrics,
    telemetry,
    () => loop.now,
    () => performance.now(),
  );
  // Telemetry last: it tells main of what both have left.
  new FadeLooks(loop, [httpMetrics, telemetry]);
  const { groups, tls12 } = settings.tls;
  const trust = new PeerTrust({
    loop,
    tunnels,
    telemetry,
    want: (identity) => toMain({ kind: 'identity-wanted', identity }),
    tls: { tls12, ...(groups === null ? {} : { groups }) },
  });
  const { dns, unknownAddress } = settings;
  const bench = new Workbench(loop, settings.byteBudget);
  new HeldReport({ loop, offenders: bench.offenders, telemetry, now, toMain });
  const resolvers = new DnsForwarder({
    ...{ loop, netns: undefined, mark: settings.mark, tryMs: dns.tryMs },
    servers: dns.servers.map(resolverAt),
  });
  return {
    ...parts,
    ...socketOptions(settings),
    ...tunnelSettings(settings),
    settings,
    tunnels: new TunnelShare(context),
    bench,
    trust,
    identities: trust.identities,
    revocations: trust.revocations,
    telemetry,
    httpMetrics,
    cuts: new CutLog(loop, telemetry),
    recent: new RecentConnections({ monotonic: () => loop.now, now, proofsPerSecond: settings.proofsPerSecond }),
    names: new NameResolver(loop, resolvers, Math.random),
    waits: new MeshWaits(loop),
    verdicts: new VerdictMemory(),
    traceIds: new TraceIds((bytes) => void randomFillSync(bytes)),
    outbound: {
      network: settings.network,
      clusterRanges: unknownAddress.clusterRanges.map(rangeOf),
      unknownCluster: unknownAddress.outcome,
    },
    toMain,
  };
}

function telemetryOf(
  { counters, log, vitals }: WorkerContext,
  { accessLog: { dns, enabled, format, opened } }: WorkerSettings,
  mesh: Runtime['mesh'],
  toMain: (message: ToMain) => void,
  now: () => number,
): Telemetry {
  return new Telemetry({
    ...{ counters, log, vitals, toMain, now, format },
    ...{ accessLog: enabled, openedLog: opened, dnsLog: dns },
    isGone: ({ uid }) => uid !== '' && !mesh.knowsWorkload(uid),
  });
}

function tunnelSettings({ http2 }: WorkerSettings): Pick<Runtime, 'clientH2' | 'serverH2'> {
  const windows = {
    initialWindowSize: http2.streamWindow,
    connectionWindow: http2.connectionWindow,
    maxFrameSize: http2.frameSize,
    limits: NODE_TUNNEL_LIMITS,
  };
  return { clientH2: { ...HBONE_CLIENT, ...windows }, serverH2: { ...HBONE_SERVER, ...windows } };
}

function socketOptions({
  keepalive,
  mark,
  userTimeout,
}: WorkerSettings): Pick<Runtime, 'dialOptions' | 'tunnelOptions'> {
  const common: DialOptions = { mark, noDelay: true, ...(keepalive === null ? {} : { keepAlive: seconds(keepalive) }) };
  const timeoutMs = keepalive === null ? 0 : keepalive.idleMs + keepalive.probes * keepalive.intervalMs;
  return {
    dialOptions: userTimeout && timeoutMs > 0 ? { ...common, userTimeoutMs: timeoutMs } : common,
    tunnelOptions: { ...common, userTimeoutMs: TUNNEL_USER_TIMEOUT_MS },
  };
}

function seconds(keepalive: NonNullable<WorkerSettings['keepalive']>) {
  return {
    idleS: Math.max(1, Math.round(keepalive.idleMs / 1000)),
    intervalS: Math.max(1, Math.round(keepalive.intervalMs / 1000)),
    probes: keepalive.probes,
  };
}

function rangeOf(text: string): Cidr {
  const range = parseCidr(text);
  if (range === undefined) throw new AmbitError('WORKER_RANGE', `${JSON.stringify(text)} is no address range`);
  return range;
}
