// SPDX-License-Identifier: Apache-2.0
// One data-plane process of ztunnel: turns main's messages into pods, certificates and judgements, and answers. Everything of it
// runs on the loop's thread, between two waits.
import { randomFillSync } from 'node:crypto';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import { startCpuProfile } from '#lib/kit/profile.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { Netns } from '#lib/linux/netns.ts';
import { Admission } from '#lib/loop/acceptor.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { WorkerContext, WorkerProgram } from '#lib/loop/worker.ts';
import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { DnsForwarder, resolverAt } from '#lib/proxy/dns/forwarder.ts';
import { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import { SharedMesh } from '#lib/proxy/state/shared-mesh.ts';
import { IpMemory } from '#lib/proxy/worker/address.ts';
import { CutLog } from '#lib/proxy/worker/cut-log.ts';
import { FadeLooks } from '#lib/proxy/worker/fading.ts';
import { Identities } from '#lib/proxy/worker/identities.ts';
import { LiveInbound } from '#lib/proxy/worker/live-inbound.ts';
import { RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import { TunnelJudge } from '#lib/proxy/worker/tunnel-judge.ts';
import { WorkloadMemory } from '#lib/proxy/worker/workload-facts.ts';
import { HBONE_CLIENT, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import {
  CONNECTIONS_PER_MESSAGE,
  type ConnectionInfo,
  type PodInfo,
  type ToMain,
  type ToWorker,
  type WorkerSettings,
} from '../control.ts';
import { VerdictMemory } from '../inbound/verdict-memory.ts';
import { PodListeners } from '../inpod/listeners.ts';
import { Pod, type PodOwner } from '../inpod/pod.ts';
import { HttpMetrics } from './http-metrics.ts';
import { DRAINED } from './ledger.ts';
import { MeshWaits } from './mesh-waits.ts';
import { RecentConnections } from './recent.ts';
import type { Runtime } from './runtime.ts';
import { Telemetry } from './telemetry.ts';
import { TraceIds } from './trace-ids.ts';

/** Name under which main passes the mesh store's descriptor. */
export const STORE_MEMORY = 'store';
/** Descriptors kept for what is not a connection: listeners, tunnels, namespaces, the channel. */
const SPARE_DESCRIPTORS = 512;

export class DataPlane implements WorkerProgram, PodOwner {
  readonly #context: WorkerContext;
  readonly #pods = new Map<string, Pod>();
  readonly #podsByWorkload = new Map<string, Pod>();
  #runtime: Runtime | null = null;
  #judge: TunnelJudge | null = null;
  #ending = false;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  onMessage(bytes: Uint8Array, fds: number[]): void {
    const message = decodeJson(bytes) as ToWorker;
    if (message.kind !== 'pod-add') for (const fd of fds.splice(0)) closeFd(fd);
    if (message.kind === 'settings') {
      this.#runtime ??= this.#build(message.settings);
      this.#send({ kind: 'ready' });
      return;
    }
    const runtime = this.#runtime;
    if (runtime === null) throw new AmbitError('WORKER_ORDER', `message ${message.kind} came before the settings`);
    this.#handle(runtime, message, fds);
  }

  onMainGone(deadlineMs: number): void {
    this.#drain(deadlineMs);
  }

  #handle(runtime: Runtime, message: Exclude<ToWorker, { kind: 'settings' }>, fds: number[]): void {
    switch (message.kind) {
      case 'pod-add':
        this.#addPod(runtime, message.pod, fds);
        return;
      case 'pod-delete':
        this.#deletePod(message.uid);
        this.#send({ kind: 'pod-deleted', uid: message.uid });
        return;
      case 'identity':
        this.#identity(runtime, message);
        return;
      case 'identity-failed':
        runtime.identities.fail(message.identity, message.reason);
        return;
      case 'identity-gone':
        runtime.identities.forget(message.identity);
        return;
      case 'slots-free':
        runtime.telemetry.freed(message.runs);
        return;
      case 'revocations':
        runtime.revocations.put(message.lists.map((list) => Buffer.from(list, 'base64')));
        this.#judge?.revocationsChanged();
        return;
      case 'mesh':
        runtime.waits.retryAll();
        if (message.policies) runtime.liveInbound.judgeAgain();
        return;
      case 'absent':
        runtime.waits.absent(message.name);
        return;
      case 'access-log':
        runtime.telemetry.accessLog = message.enabled;
        runtime.telemetry.openedLog = message.opened;
        runtime.telemetry.dnsLog = message.dns;
        return;
      case 'drain':
        if (message.mode === 'graceful') this.#drain(message.deadlineMs);
        else this.#endAll();
        return;
      case 'list-connections':
        this.#list(message.request);
        return;
      case 'profile':
        this.#profile(message.request, message.ms, message.frequency);
        return;
      case 'list-recent':
        this.#send({ kind: 'recent', request: message.request, list: runtime.recent.list() });
        return;
    }
  }

  // === pods ===

  #addPod(runtime: Runtime, info: PodInfo, fds: number[]): void {
    let netns: Netns | null = null;
    let pod: Pod | null = null;
    try {
      netns = fds.length === 0 ? null : Netns.adopt(fds[0]!);
      for (const fd of fds.slice(1)) closeFd(fd);
      const known = this.#pods.get(info.uid);
      if (known !== undefined && !known.closed) {
        if (known.netns?.id === netns?.id) {
          netns?.close();
          this.#send({ kind: 'pod-added', uid: info.uid });
          return;
        }
        this.#deletePod(info.uid);
      }
      pod = new Pod(runtime, info, netns, this);
      pod.start((of) => new PodListeners(of));
      this.#pods.set(info.uid, pod);
      this.#podsByWorkload.set(workloadName(info), pod);
      this.#send({ kind: 'pod-added', uid: info.uid });
    } catch (error) {
      if (pod === null) netns?.close();
      else pod.close();
      this.#send({ kind: 'pod-failed', uid: info.uid, reason: describeError(error) });
    }
  }

  #deletePod(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    const name = workloadName(pod.info);
    if (this.#podsByWorkload.get(name) === pod) this.#podsByWorkload.delete(name);
    pod.close();
  }

  // === PodOwner ===

  onEmpty(): void {
    this.#checkDrained();
  }

  podOf(workload: Workload): Pod | undefined {
    return this.#podsByWorkload.get(`${workload.namespace}/${workload.name}/${workload.serviceAccount}`);
  }

  // === certificates ===

  #identity(runtime: Runtime, message: Extract<ToWorker, { kind: 'identity' }>): void {
    const { identity, chain, key, roots } = message;
    try {
      runtime.identities.put(identity, chain, key, roots);
    } catch (error) {
      runtime.identities.fail(identity, describeError(error));
      runtime.telemetry.message('error', 'a delivered certificate is not usable', {
        identity,
        error: describeError(error),
      });
      return;
    }
    this.#judge?.rootsChanged(identity);
  }

  // === the rest ===

  #list(request: number): void {
    let part: ConnectionInfo[] = [];
    for (const pod of this.#pods.values()) {
      for (const connection of pod.connections) {
        const info = connection.info();
        if (info === null) continue;
        part.push(info);
        if (part.length < CONNECTIONS_PER_MESSAGE) continue;
        this.#send({ kind: 'connections', request, list: part, last: false });
        part = [];
      }
    }
    this.#send({ kind: 'connections', request, list: part, last: true });
  }

  #profile(request: number, ms: number, frequency: number): void {
    const profile = startCpuProfile(frequency);
    this.#context.loop.after(ms, { onTimer: () => this.#send({ kind: 'profile', request, profile: profile.stop() }) });
  }

  #drain(deadlineMs: number): void {
    if (this.#ending) return;
    this.#ending = true;
    for (const pod of this.#pods.values()) pod.drain();
    this.#context.loop.after(deadlineMs, { onTimer: () => this.#endAll() });
    this.#checkDrained();
  }

  #endAll(): void {
    this.#ending = true;
    for (const pod of this.#pods.values()) pod.close(DRAINED);
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (!this.#ending) return;
    for (const pod of this.#pods.values()) if (pod.connections.size > 0 || pod.sessions.size > 0) return;
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
    const mesh = new SharedMesh(StoreReader.open(store));
    const toMain = (message: ToMain) => this.#send(message);
    const { tls12, groups } = settings.tls;
    const identities = new Identities(loop, (identity) => toMain({ kind: 'identity-wanted', identity }), {
      tls12,
      ...(groups === null ? {} : { groups }),
    });
    // Certificates go by the wall clock, also when somebody sets it.
    const revocations = new RevocationCheck(Date.now);
    // As of the turn: a line's time is when its connection's turn began, and a turn's lines share their text.
    const { timeOrigin } = performance;
    const now = () => timeOrigin + loop.now;
    const { format, enabled, opened, dns } = settings.accessLog;
    const telemetry = new Telemetry({
      ...{ counters, log, vitals, toMain, now, format },
      ...{ accessLog: enabled, openedLog: opened, dnsLog: dns },
      isGone: ({ uid }) => uid !== '' && !mesh.knowsWorkload(uid),
    });
    const httpMetrics = new HttpMetrics(
      settings.httpMetrics,
      telemetry,
      () => loop.now,
      () => performance.now(),
    );
    // Telemetry last: it tells main of what both have left.
    new FadeLooks(loop, [httpMetrics, telemetry]);
    this.#judge = new TunnelJudge({
      loop,
      groups: () => this.#pods.values(),
      trusts: (identity, anchor) => identities.trusts(identity, anchor),
      revoked: (peer) => revocations.revoked(peer),
      onRevoked: (reporter) => telemetry.count('istio_crl_policy_rejections_total', { reporter }),
      now: Date.now,
    });
    const { keepalive, mark, userTimeout, http2 } = settings;
    const dialOptions = {
      mark,
      noDelay: true,
      ...(keepalive === null ? {} : { keepAlive: seconds(keepalive) }),
    };
    const timeoutMs = keepalive === null ? 0 : keepalive.idleMs + keepalive.probes * keepalive.intervalMs;
    const windows = {
      initialWindowSize: http2.streamWindow,
      connectionWindow: http2.connectionWindow,
      maxFrameSize: http2.frameSize,
      limits: TUNNEL_LIMITS,
    };
    const resolvers = new DnsForwarder({
      ...{ loop, netns: undefined, mark, tryMs: settings.dns.tryMs },
      servers: settings.dns.servers.map(resolverAt),
    });
    return {
      settings,
      loop,
      bench: new Workbench(loop, settings.byteBudget),
      mesh,
      identities,
      revocations,
      memory: new WorkloadMemory(),
      ips: new IpMemory(),
      telemetry,
      httpMetrics,
      cuts: new CutLog(loop, telemetry),
      recent: new RecentConnections({ monotonic: () => loop.now, now, proofsPerSecond: settings.proofsPerSecond }),
      names: new NameResolver(loop, resolvers, Math.random),
      waits: new MeshWaits(loop),
      liveInbound: new LiveInbound(loop),
      admission: new Admission(
        settings.maxConnections ?? Math.max(64, Math.floor((fileLimit - SPARE_DESCRIPTORS) / 2)),
      ),
      verdicts: new VerdictMemory(),
      traceIds: new TraceIds((bytes) => void randomFillSync(bytes)),
      random: Math.random,
      outbound: {
        network: settings.network,
        clusterRanges: settings.unknownAddress.clusterRanges.map(rangeOf),
        unknownCluster: settings.unknownAddress.outcome,
      },
      clientH2: { ...HBONE_CLIENT, ...windows },
      serverH2: { ...HBONE_SERVER, ...windows },
      dialOptions: userTimeout && timeoutMs > 0 ? { ...dialOptions, userTimeoutMs: timeoutMs } : dialOptions,
      tunnelOptions: { ...dialOptions, userTimeoutMs: TUNNEL_USER_TIMEOUT_MS },
      toMain,
    };
  }
}

/** Until unacknowledged bytes of a tunnel mean that it is dead; the same as a PING without answer. */
const TUNNEL_USER_TIMEOUT_MS = 20_000;

/**
 * Each stream of a tunnel is somebody's TCP connection, and applications open, abort and reset thousands of them a second (health
 * checks do little else). What protects other HTTP/2 servers would let one such client cut its pod's whole tunnel.
 */
const TUNNEL_LIMITS = { controlBurst: 20_000, controlPerSecond: 20_000, resetBurst: 5_000, resetPerSecond: 5_000 };

function workloadName({ namespace, name, serviceAccount }: PodInfo): string {
  return `${namespace}/${name}/${serviceAccount}`;
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
