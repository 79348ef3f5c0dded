// SPDX-License-Identifier: Apache-2.0
// One data-plane process of the waypoint: turns main's messages into certificates, listeners and configuration. Everything of it
// runs on the loop's thread, between two waits.
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { Admission } from '#lib/loop/acceptor.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { WorkerContext, WorkerProgram } from '#lib/loop/worker.ts';
import { HttpBench } from '#lib/net/http/bench.ts';
import type { Session } from '#lib/net/session.ts';
import { DnsForwarder, resolverAt } from '#lib/proxy/dns/forwarder.ts';
import { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import { TRY_MS } from '#lib/proxy/dns/resolvers.ts';
import { SharedMesh } from '#lib/proxy/state/shared-mesh.ts';
import { IpMemory } from '#lib/proxy/worker/address.ts';
import { CutLog } from '#lib/proxy/worker/cut-log.ts';
import { FadeLooks } from '#lib/proxy/worker/fading.ts';
import { Identities } from '#lib/proxy/worker/identities.ts';
import { LiveInbound } from '#lib/proxy/worker/live-inbound.ts';
import { RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import { type TunnelGroup, TunnelJudge } from '#lib/proxy/worker/tunnel-judge.ts';
import { WorkloadMemory } from '#lib/proxy/worker/workload-facts.ts';
import { Authorisers } from '../authoriser/authorisers.ts';
import type { ToMain, ToWorker, WorkerSettings } from '../control.ts';
import { Connections } from '../listener/connections.ts';
import { Listeners } from '../listener/listeners.ts';
import { Observers } from '../telemetry/observer.ts';
import type { ProxyTags } from '../tracing/attributes.ts';
import { TraceIds } from '../tracing/ids.ts';
import { Clusters } from '../upstream/clusters.ts';
import { TlsOriginations } from '../upstream/origination.ts';
import { Tunnels } from '../upstream/tunnels.ts';
import { L7View } from './l7-view.ts';
import { RequestIds } from './request-ids.ts';
import type { Runtime } from './runtime.ts';
import { selfOf } from './self.ts';
import { Telemetry } from './telemetry.ts';

/** Name under which main passes the store's descriptor. */
export const STORE_MEMORY = 'store';
/** Descriptors kept for what is not a connection. */
const SPARE_DESCRIPTORS = 512;
/** Requests to a name that no resolver can tell of fail at once for this long. */
const FAILED_NAME_MS = 5_000;
/** Until unacknowledged bytes of a tunnel mean that it is dead. */
const TUNNEL_USER_TIMEOUT_MS = 20_000;

/** Looks at the tunnels of both directions again. */
function judgeOf({ identities, inbound, loop, revocations, settings, telemetry, tunnels }: Runtime): TunnelJudge {
  const own: TunnelGroup = {
    local: () => ({ uri: settings.identity }),
    sessions: inbound,
    inner: tunnels.inner,
    pool: tunnels.pool,
  };
  return new TunnelJudge({
    loop,
    groups: () => [own],
    trusts: (identity, anchor) => identities.trusts(identity, anchor),
    revoked: (peer) => revocations.revoked(peer),
    onRevoked: (reporter) => telemetry.count('istio_crl_policy_rejections_total', { reporter }),
    now: Date.now,
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

export class WaypointWorker implements WorkerProgram {
  readonly #context: WorkerContext;
  #runtime: Runtime | null = null;
  #listeners: Listeners | null = null;
  #judge: TunnelJudge | null = null;
  #draining = false;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  onMessage(bytes: Uint8Array, fds: number[]): void {
    for (const fd of fds.splice(0)) closeFd(fd);
    const message = decodeJson(bytes) as ToWorker;
    if (message.kind === 'settings') {
      this.#runtime ??= this.#build(message.settings);
      this.#listeners ??= new Listeners(this.#runtime, (listener, port) =>
        this.#send({ kind: 'listening', listener, port }),
      );
      this.#send({ kind: 'ready' });
      return;
    }
    const runtime = this.#runtime;
    if (runtime === null) throw new AmbitError('WORKER_ORDER', `message ${message.kind} came before the settings`);
    this.#handle(runtime, message);
  }

  #handle(runtime: Runtime, message: Exclude<ToWorker, { kind: 'settings' }>): void {
    switch (message.kind) {
      case 'config':
        runtime.l7.follow();
        if (!this.#draining) this.#listeners?.update();
        runtime.liveInbound.judgeAgain();
        return;
      case 'identity':
        this.#identity(runtime, message);
        return;
      case 'slots-free':
        runtime.telemetry.freed(message.runs);
        return;
      case 'revocations':
        runtime.revocations.put(message.lists.map((list) => Buffer.from(list, 'base64')));
        this.#judge?.revocationsChanged();
        return;
      case 'identity-failed':
        runtime.identities.fail(message.identity, message.reason);
        return;
      case 'drain':
        this.#drain(message.deadlineMs);
        return;
    }
  }

  onMainGone(deadlineMs: number): void {
    this.#drain(deadlineMs);
  }

  #identity(runtime: Runtime, message: Extract<ToWorker, { kind: 'identity' }>): void {
    const { identity, chain, key, roots } = message;
    try {
      runtime.identities.put(identity, chain, key, roots);
      this.#judge?.rootsChanged(identity);
    } catch (error) {
      runtime.identities.fail(identity, describeError(error));
      runtime.telemetry.message('error', 'a delivered certificate is not usable', {
        identity,
        error: describeError(error),
      });
    }
  }

  #drain(deadlineMs: number): void {
    if (this.#draining) return;
    this.#draining = true;
    const runtime = this.#runtime;
    if (runtime === null) {
      this.#context.stop(0);
      return;
    }
    this.#listeners?.close();
    runtime.loop.after(deadlineMs, { onTimer: () => this.#end() });
    runtime.connections.drain(() => this.#end());
  }

  #end(): void {
    this.#runtime?.connections.kill();
    this.#send({ kind: 'drained' });
    this.#context.stop(0);
  }

  #send(message: ToMain): void {
    this.#context.channel.sendJson(message);
  }

  #build(settings: WorkerSettings): Runtime {
    const { loop, memory, counters, log, vitals, fileLimit } = this.#context;
    const store = memory[STORE_MEMORY];
    if (store === undefined) throw new AmbitError('WORKER_MEMORY', `no shared memory by the name ${STORE_MEMORY}`);
    const reader = StoreReader.open(store);
    // The clock of the turn: what happens in one turn happens at once.
    const now = (): number => performance.timeOrigin + loop.now;
    const bench = new HttpBench(loop, settings.byteBudget);
    const identities = new Identities(loop, (identity) => this.#send({ kind: 'identity-wanted', identity }));
    const dialOptions = { noDelay: true };
    const tunnelOptions = { noDelay: true, userTimeoutMs: TUNNEL_USER_TIMEOUT_MS };
    const mesh = new SharedMesh(reader);
    // Certificates go by the wall clock, also when somebody sets it.
    const revocations = new RevocationCheck(Date.now);
    const inbound = new Set<Session>();
    const resolvers = new DnsForwarder({
      loop,
      netns: undefined,
      mark: 0,
      tryMs: TRY_MS,
      servers: settings.resolvers.map(resolverAt),
    });
    const telemetry = new Telemetry({
      counters,
      log,
      vitals,
      toMain: (message) => this.#send(message),
      now,
      clusterId: settings.clusterId,
      isGone: (uid) => uid !== '' && !mesh.knowsWorkload(uid),
    });
    new FadeLooks(loop, [telemetry]);
    const half: Omit<Runtime, 'authorisers' | 'clusters'> = {
      settings,
      loop,
      bench,
      mesh,
      self: selfOf(mesh, settings),
      l7: new L7View(reader, loop),
      identities,
      memory: new WorkloadMemory(),
      ips: new IpMemory(),
      admission: new Admission(
        settings.maxConnections ?? Math.max(64, Math.floor((fileLimit - SPARE_DESCRIPTORS) / 2)),
      ),
      random: Math.random,
      ids: new RequestIds((bytes) => void randomFillSync(bytes)),
      timeouts: { idleMs: settings.idleMs, headMs: settings.headMs, stallMs: settings.stallMs },
      dialOptions,
      tunnelOptions,
      tunnels: new Tunnels({
        bench,
        identities,
        identity: settings.identity,
        network: settings.network,
        dialOptions: tunnelOptions,
        connectTimeoutMs: settings.connectTimeoutMs,
        revocations,
      }),
      names: new NameResolver(loop, resolvers, Math.random, FAILED_NAME_MS),
      originations: new TlsOriginations({ bench, systemRoots: () => systemRoots(settings.systemRoots), now }),
      connections: new Connections(loop),
      revocations,
      liveInbound: new LiveInbound(loop),
      inbound,
      telemetry,
      cuts: new CutLog(loop, telemetry),
      observers: new Observers({
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
      }),
      now,
    };
    const runtime = half as Runtime;
    (runtime as { clusters: Clusters }).clusters = new Clusters(runtime);
    (runtime as { authorisers: Authorisers }).authorisers = new Authorisers(runtime);
    this.#judge = judgeOf(runtime);
    return runtime;
  }
}

/** What all spans tell of this proxy. */
function tagsOf({ clusterId, gateway, ip, podName, trustDomain }: WorkerSettings): ProxyTags {
  const namespace = gateway.slice(0, gateway.indexOf('/'));
  const nodeId = `waypoint~${ip}~${podName}.${namespace}~${namespace}.svc.cluster.local`;
  return { nodeId, meshId: trustDomain, gateway, clusterId };
}
