// SPDX-License-Identifier: Apache-2.0
// A node proxy's data plane for tests: real data-plane processes, a mesh in the shared store, test certificates, and no control
// plane. The test plays the main process.
import { join } from 'node:path';
import { createLogger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { LoadShare } from '#lib/loop/shared/load-share.ts';
import { LINE_KINDS } from '#lib/loop/shared/log-ring.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { type WorkerProcess, Workers } from '#lib/loop/workers.ts';
import { SHARE_MEMORY } from '#lib/proxy/control.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { WORKER_ENV, WORKER_FLAGS } from '#lib/proxy/worker/flags.ts';
import type {
  ConnectionInfo,
  PodInfo,
  RecentConnection,
  ToMain,
  ToWorker,
  WorkerSettings,
} from '../../ztunnel/control.ts';
import type { TestCa } from './certificates.ts';
import { until } from './until.ts';

export const TEST_SETTINGS: WorkerSettings = {
  nodeName: '',
  network: '',
  clusterId: 'Kubernetes',
  clusterDomain: 'cluster.local',
  trustDomain: 'cluster.local',
  ipv6: true,
  mark: 1337,
  ports: { outbound: 15001, inbound: 15006, hbone: 15008, dns: 15053 },
  explicitPort: 0,
  reusePort: true,
  originalSource: 'auto',
  keepalive: { idleMs: 180_000, intervalMs: 180_000, probes: 9 },
  userTimeout: false,
  http2: { streamWindow: 4 << 20, connectionWindow: 16 << 20, frameSize: 1 << 20 },
  pool: { streamsPerConnection: 100, idleMs: 300_000 },
  tls: { tls12: false, groups: null },
  connectTimeoutMs: 10_000,
  connectReplyMs: 30_000,
  connectAttempts: 3,
  responseBaggage: true,
  localhostAppTunnel: true,
  sameNode: 'join',
  unknownAddress: { clusterRanges: [], waitMs: 200, outcome: 'pass' },
  onDemand: false,
  // What a test does not wait for in vain comes in time, however busy the machine.
  recordWaitMs: 60_000,
  unknownPolicyWaitMs: 60_000,
  proofsPerSecond: 10,
  byteBudget: 64 << 20,
  maxConnections: null,
  podLimits: { connections: 0, handshakes: 0 },
  dns: { enabled: false, servers: [], tryMs: 20_000, preferredServiceNamespace: null, searchDomains: null },
  httpMetrics: { mode: 'labelled', cpuShare: 1000, maxConnections: 1000 },
  accessLog: { enabled: true, format: 'json', opened: false, dns: true },
};

/** Signs for whoever is of the mesh. */
export type MeshCa = Pick<TestCa, 'rootPem' | 'issue'>;

/** One line of the access log, parsed. */
export type AccessLine = Readonly<Record<string, unknown>>;

export class NodeProxy {
  readonly mesh: MeshState;
  /** Access and denial lines so far. */
  readonly lines: AccessLine[] = [];
  /** What the processes said of themselves. */
  readonly messages: string[] = [];
  readonly heard: ToMain[] = [];
  readonly workers: Workers;
  #ca: MeshCa;
  readonly #settings: WorkerSettings;
  readonly #identities = new Map<string, Promise<ToWorker>>();
  readonly #pods: { readonly info: PodInfo; readonly fd: number }[] = [];
  readonly #watch = new FdWatch();
  readonly #tunnels: LoadShare;
  readonly #series = new Map<WorkerProcess, Map<number, string>>();
  #version = 0;
  #requests = 0;

  constructor(
    ca: MeshCa,
    settings: Partial<WorkerSettings> = {},
    processes = 1,
    execArgv: readonly string[] = WORKER_FLAGS,
  ) {
    this.#ca = ca;
    this.#settings = { ...TEST_SETTINGS, ...settings };
    const log = createLogger({ scope: 'node-proxy', level: 'error' });
    const store = new StoreWriter({ maxRecords: 4096, dataBytes: 16 << 20 });
    this.mesh = new MeshState({
      nodeName: this.#settings.nodeName,
      clusterId: this.#settings.clusterId,
      store,
      log,
      onCommit: (version, policies) => {
        this.#version = version;
        this.#broadcast({ kind: 'mesh', version, policies });
      },
      onIdentity: () => {},
      onIdentityGone: () => {},
    });
    this.#tunnels = LoadShare.create(processes);
    this.workers = new Workers({
      count: processes,
      script: join(import.meta.dirname, '../../ztunnel/worker/main.ts'),
      env: WORKER_ENV,
      execArgv,
      log,
      watch: this.#watch,
      memory: { store: store.fd, [SHARE_MEMORY]: this.#tunnels.fd },
      drainMs: 1000,
      handler: {
        onStart: (worker) => this.#onStart(worker),
        onMessage: (worker, bytes, fds) => {
          this.#onMessage(worker, decodeJson(bytes) as ToMain, fds);
          for (const fd of fds) close(fd);
        },
        onLine: (_worker, kind, line) => {
          if (kind === LINE_KINDS.message) this.messages.push(line.toString());
          else this.lines.push(JSON.parse(line.toString()) as AccessLine);
        },
        onEnd: (worker) => {
          this.#tunnels.close(worker.index);
          this.#series.delete(worker);
        },
      },
    });
    this.workers.start();
  }

  /** Captures the pod; resolves when every process listens in its namespace. */
  async addPod(info: PodInfo, netns: Netns): Promise<void> {
    const before = this.#answers(info.uid);
    this.#pods.push({ info, fd: netns.fd });
    this.#broadcast({ kind: 'pod-add', pod: info }, [netns.fd]);
    const wanted = before + this.workers.list().length;
    await until(`pod ${info.name} is captured`, () => this.#answers(info.uid) >= wanted);
    const failed = this.heard.find((said) => said.kind === 'pod-failed' && said.uid === info.uid);
    if (failed?.kind === 'pod-failed') throw new Error(failed.reason);
  }

  /** These revocation lists, in DER, and no others. */
  revoke(lists: readonly Uint8Array[]): void {
    const texts = lists.map((der) => Buffer.from(der).toString('base64'));
    this.#broadcast({ kind: 'revocations', lists: texts });
  }

  /** The certificate that `identity` was given. */
  async chainOf(identity: string): Promise<string> {
    const given = await this.#identities.get(identity);
    if (given?.kind !== 'identity') throw new Error(`no certificate was given for ${identity}`);
    return given.chain;
  }

  deletePod(uid: string): void {
    const at = this.#pods.findIndex((pod) => pod.info.uid === uid);
    if (at >= 0) this.#pods.splice(at, 1);
    this.#broadcast({ kind: 'pod-delete', uid });
  }

  /** Another authority signs everything from now on, and the old one is no longer trusted. */
  async replaceCa(ca: MeshCa): Promise<void> {
    this.#ca = ca;
    const known = [...this.#identities.keys()];
    this.#identities.clear();
    for (const worker of this.workers.list()) for (const identity of known) await this.#give(worker, identity);
  }

  /** Resolves when the processes have heard of everything put into `mesh`. */
  async settle(): Promise<void> {
    this.mesh.flush();
    await this.mesh.flushed();
  }

  async connections(): Promise<readonly ConnectionInfo[]> {
    const request = ++this.#requests;
    this.#broadcast({ kind: 'list-connections', request });
    const parts = () => this.heard.filter((said) => said.kind === 'connections' && said.request === request);
    const count = this.workers.list().length;
    await until(
      'connection list',
      () => parts().filter((said) => said.kind === 'connections' && said.last).length === count,
    );
    return parts().flatMap((said) => (said.kind === 'connections' ? said.list : []));
  }

  /** Connections that ended last, of all processes. */
  async recent(): Promise<readonly RecentConnection[]> {
    const request = ++this.#requests;
    this.#broadcast({ kind: 'list-recent', request });
    const answers = () => this.heard.filter((said) => said.kind === 'recent' && said.request === request);
    await until('recent connections', () => answers().length === this.workers.list().length);
    return answers().flatMap((said) => (said.kind === 'recent' ? said.list : []));
  }

  /** The sum over processes of every series whose name and labels contain all of `parts`. */
  metric(...parts: readonly string[]): number {
    let sum = 0;
    for (const [worker, slots] of this.#series) {
      for (const [slot, text] of slots)
        if (parts.every((part) => text.includes(part))) sum += worker.counters.get(slot);
    }
    return sum;
  }

  /** The control plane has nothing by a name that was wanted. */
  absent(name: string): void {
    this.#broadcast({ kind: 'absent', name });
  }

  drain(mode: 'graceful' | 'immediate', deadlineMs: number): void {
    this.#broadcast({ kind: 'drain', mode, deadlineMs });
  }

  async stop(): Promise<void> {
    this.drain('immediate', 0);
    await this.workers.stop(20_000);
    this.#watch.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #answers(uid: string): number {
    return this.heard.filter((said) => (said.kind === 'pod-added' || said.kind === 'pod-failed') && said.uid === uid)
      .length;
  }

  #onStart(worker: WorkerProcess): void {
    this.#tell(worker, { kind: 'settings', settings: this.#settings });
    this.#tell(worker, { kind: 'mesh', version: this.#version, policies: true });
    for (const { info, fd } of this.#pods) this.#tell(worker, { kind: 'pod-add', pod: info }, [fd]);
  }

  #onMessage(worker: WorkerProcess, message: ToMain, fds: readonly number[]): void {
    this.heard.push(message);
    if (message.kind === 'tunnel-given') {
      const taker = this.workers.list().find(({ index }) => index === message.to);
      if (taker === undefined) this.#tunnels.add(worker.index, 1);
      this.#tell(taker ?? worker, { kind: 'tunnel', door: message.door }, fds);
    }
    if (message.kind === 'identity-wanted') void this.#give(worker, message.identity);
    if (message.kind !== 'series') return;
    let slots = this.#series.get(worker);
    if (slots === undefined) {
      slots = new Map();
      this.#series.set(worker, slots);
    }
    const labels = Object.entries(message.labels).map(([name, value]) => `${name}="${value}"`);
    slots.set(message.slot, `${message.name}{${labels.join(',')}}`);
  }

  async #give(worker: WorkerProcess, identity: string): Promise<void> {
    let made = this.#identities.get(identity);
    if (made === undefined) {
      made = this.#ca.issue(identity).then(({ chainPem, keyPem }) => ({
        kind: 'identity',
        identity,
        chain: chainPem,
        key: keyPem,
        roots: this.#ca.rootPem,
      }));
      this.#identities.set(identity, made);
    }
    this.#tell(worker, await made);
  }

  #tell(worker: WorkerProcess, message: ToWorker, fds: readonly number[] = []): void {
    worker.sendJson(message, fds);
  }

  #broadcast(message: ToWorker, fds: readonly number[] = []): void {
    this.workers.broadcastJson(message, fds);
  }
}
