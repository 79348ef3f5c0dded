// SPDX-License-Identifier: Apache-2.0
// Builds what the parts of one data-plane process share, from the settings that main sends first.
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { WorkerContext } from '#lib/loop/worker.ts';
import { HttpBench } from '#lib/net/http/bench.ts';
import type { Session } from '#lib/net/session.ts';
import { DnsForwarder, resolverAt } from '#lib/proxy/dns/forwarder.ts';
import { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import { TRY_MS } from '#lib/proxy/dns/resolvers.ts';
import { CutLog } from '#lib/proxy/worker/cut-log.ts';
import { FadeLooks } from '#lib/proxy/worker/fading.ts';
import { HeldReport } from '#lib/proxy/worker/held-report.ts';
import { openStore, workerParts } from '#lib/proxy/worker/parts.ts';
import { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import type { TunnelGroup } from '#lib/proxy/worker/tunnel-judge.ts';
import { TUNNEL_USER_TIMEOUT_MS } from '#lib/proxy/worker/tunnel-options.ts';
import { TunnelShare } from '#lib/proxy/worker/tunnel-share.ts';
import { Authorisers } from '../authoriser/authorisers.ts';
import type { ToMain, WorkerSettings } from '../control.ts';
import { Connections } from '../listener/connections.ts';
import { Observers } from '../telemetry/observer.ts';
import type { ProxyTags } from '../tracing/attributes.ts';
import { TraceIds } from '../tracing/ids.ts';
import { Clusters } from '../upstream/clusters.ts';
import { TlsOriginations } from '../upstream/origination.ts';
import type { UpstreamRuntime } from '../upstream/runtime.ts';
import { Tunnels } from '../upstream/tunnels.ts';
import { L7View } from './l7-view.ts';
import { RequestIds } from './request-ids.ts';
import type { Runtime } from './runtime.ts';
import { selfOf } from './self.ts';
import { Telemetry } from './telemetry.ts';

/** Requests to a name that no resolver can tell of fail at once for this long. */
const FAILED_NAME_MS = 5_000;

/** Throws WORKER_MEMORY when main passed no store. */
export function assemble(context: WorkerContext, settings: WorkerSettings, toMain: (message: ToMain) => void): Runtime {
  const { loop, counters, log, vitals } = context;
  const store = openStore(context);
  const parts = workerParts(context, store, settings.maxConnections);
  const { mesh } = parts;
  // The clock of the turn: what happens in one turn happens at once.
  const now = (): number => performance.timeOrigin + loop.now;
  const telemetry = new Telemetry({
    ...{ counters, log, vitals, toMain, now },
    clusterId: settings.clusterId,
    isGone: (uid) => uid !== '' && !mesh.knowsWorkload(uid),
  });
  const inbound = new Set<Session>();
  const trust = new PeerTrust({
    loop,
    telemetry,
    tunnels: () => [own],
    want: (identity) => toMain({ kind: 'identity-wanted', identity }),
  });
  const { identities, revocations } = trust;
  const bench = new HttpBench(loop, settings.byteBudget);
  new HeldReport({ loop, offenders: bench.offenders, telemetry, now, toMain });
  const tunnelOptions = { noDelay: true, userTimeoutMs: TUNNEL_USER_TIMEOUT_MS };
  const { connectTimeoutMs, identity, network } = settings;
  const tunnels = new Tunnels({
    ...{ bench, identities, identity, network, connectTimeoutMs, revocations },
    dialOptions: tunnelOptions,
  });
  const own: TunnelGroup = {
    local: () => ({ uri: identity }),
    sessions: inbound,
    inner: tunnels.inner,
    pool: tunnels.pool,
  };
  const resolvers = new DnsForwarder({
    ...{ loop, netns: undefined, mark: 0, tryMs: TRY_MS },
    servers: settings.resolvers.map(resolverAt),
  });
  const l7 = new L7View(store, loop);
  new FadeLooks(loop, [telemetry, l7]);
  const upstream: UpstreamRuntime = {
    ...{ settings, loop, bench, mesh, l7, tunnels, random: parts.random },
    dialOptions: { noDelay: true },
    names: new NameResolver(loop, resolvers, Math.random, FAILED_NAME_MS),
    originations: new TlsOriginations({ bench, systemRoots: () => systemRoots(settings.systemRoots), now }),
    self: selfOf(mesh, settings),
  };
  const clusters = new Clusters(upstream);
  return {
    ...parts,
    ...upstream,
    settings,
    l7,
    trust,
    identities,
    revocations,
    inbound,
    share: new TunnelShare(context),
    tunnelOptions,
    clusters,
    authorisers: new Authorisers({ loop, clusters }),
    ids: new RequestIds((bytes) => void randomFillSync(bytes)),
    timeouts: { idleMs: settings.idleMs, headMs: settings.headMs, stallMs: settings.stallMs },
    connections: new Connections(loop),
    telemetry,
    cuts: new CutLog(loop, telemetry),
    observers: observersOf(settings, telemetry),
    now,
  };
}

function observersOf(settings: WorkerSettings, telemetry: Telemetry): Observers {
  return new Observers({
    accessLog: settings.accessLog,
    facts: { identity: settings.identity, hostname: settings.podName },
    tracing: {
      ids: new TraceIds((bytes) => void randomFillSync(bytes)),
      tags: tagsOf(settings),
      random: Math.random,
      spansOfTries: settings.spansOfTries,
      send: (record) => telemetry.export(record),
    },
    complain: (message, fields) => telemetry.message('warn', message, fields),
  });
}

/** Read once, when a server is first to be verified by them; without the file, Node's own list. */
function systemRoots(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return rootCertificates.join('\n');
  }
}

/** What all spans tell of this proxy. */
function tagsOf({ clusterId, gateway, ip, podName, trustDomain }: WorkerSettings): ProxyTags {
  const namespace = gateway.slice(0, gateway.indexOf('/'));
  const nodeId = `waypoint~${ip}~${podName}.${namespace}~${namespace}.svc.cluster.local`;
  return { nodeId, meshId: trustDomain, gateway, clusterId };
}
