// SPDX-License-Identifier: Apache-2.0
// One enrolled pod in one worker: its listeners inside its network namespace, its tunnels out, and every connection and tunnel that
// is open on its behalf. When the pod goes, all of that goes, and with it the last hold on the namespace (trap 16).
//
//   start() ──▶ serving ──drain()──▶ draining ──▶ closed
//                  └───────close()────────────────▲
import { type Enrolled, Roster } from '#lib/kit/roster.ts';
import type { Endpoint } from '#lib/linux/address.ts';
import type { Netns } from '#lib/linux/netns.ts';
import type { DialOptions } from '#lib/linux/socket.ts';
import { RateLimit } from '#lib/loop/rate-limit.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { TunnelPool } from '#lib/net/pool.ts';
import type { Session } from '#lib/net/session.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { ConnectionInfo, PodInfo } from '../control.ts';
import { PeerTargets } from '../outbound/peer-targets.ts';
import { dialTunnel, judgeTunnel, type PeerTarget } from '../outbound/tunnel.ts';
import { DRAINED } from '../worker/ledger.ts';
import type { Runtime } from '../worker/runtime.ts';

/** A connection as its pod keeps it. */
export interface LiveConnection extends Enrolled {
  /** Cut it, visibly. */
  kill(error: string): void;
  /** The pod drains. */
  drain?(): void;
  /** For the connection list; null before it is classified. */
  info(): ConnectionInfo | null;
}

/** Who has the pod among others of its node. */
export interface PodOwner {
  /** It was closed or drained, and nothing of it is left. */
  onEmpty(): void;
  /** The pod of this process that is that workload. */
  podOf(workload: Workload): Pod | undefined;
}

/** Its doors. */
interface Doors {
  /** A connection to port 15008 that came to another process; also when they are closed. */
  onTunnel(fd: number, peer: Endpoint): void;
  close(): void;
}

export class Pod {
  readonly runtime: Runtime;
  readonly info: PodInfo;
  readonly netns: Netns | null;
  readonly pool: TunnelPool<PeerTarget>;
  readonly targets = new PeerTargets();
  readonly connections = new Roster<LiveConnection>();
  /** Tunnels that others opened to this pod. */
  readonly sessions = new Set<Session>();
  /** Inner halves of tunnels to other networks; each is one connection's and ends with it. */
  readonly inner = new Set<Session>();
  /** For plain connections out of the pod, and into it. */
  readonly dialOptions: DialOptions;
  readonly tunnelOptions: DialOptions;
  /** What may be opened by it or to it, and handshaken with it; null is no limit. */
  readonly newConnections: RateLimit | null;
  readonly handshakes: RateLimit | null;
  /** The kernel lets us speak from a client's address; cleared by its first refusal. */
  keepsSource: boolean;
  closed = false;
  draining = false;
  readonly #owner: PodOwner;
  /** While they are open. */
  #doors: Doors | null = null;
  #tunnels: Pick<Doors, 'onTunnel'> | null = null;
  /** What local() found, and the version of the mesh it holds for. */
  #local: WorkloadFacts | undefined;
  #localSeenAt = -1;

  constructor(runtime: Runtime, info: PodInfo, netns: Netns | null, owner: PodOwner) {
    this.runtime = runtime;
    this.info = info;
    this.netns = netns;
    this.#owner = owner;
    const place = netns === null ? {} : { netns: netns.fd };
    this.dialOptions = { ...runtime.dialOptions, ...place };
    this.tunnelOptions = { ...runtime.tunnelOptions, ...place };
    this.keepsSource = runtime.settings.originalSource !== 'off' && info.self !== true;
    const { connections, handshakes } = runtime.settings.podLimits;
    const { now } = runtime.loop;
    this.newConnections = connections > 0 ? new RateLimit(connections, now) : null;
    this.handshakes = handshakes > 0 ? new RateLimit(handshakes, now) : null;
    this.pool = new TunnelPool<PeerTarget>({
      loop: runtime.loop,
      dial: (target, owner) => dialTunnel(runtime, this.tunnelOptions, target, owner),
      judge: (target, peer) => judgeTunnel(runtime, target, peer),
      streamsPerTunnel: runtime.settings.pool.streamsPerConnection,
      idleMs: runtime.settings.pool.idleMs,
    });
  }

  /** Opens the listeners. Throws SYSCALL_* naming what could not be bound; then nothing is left open. */
  start(open: (pod: Pod) => Doors): void {
    this.#tunnels = this.#doors = open(this);
  }

  /** Takes a connection for tunnels that another process gives us, which has its place in the worker's limit; false when the pod is gone. */
  takeTunnel(fd: number, peer: Endpoint): boolean {
    // Also while we drain: whoever gave it did not know, and the client has been let in.
    if (this.closed || this.#tunnels === null) return false;
    this.#tunnels.onTunnel(fd, peer);
    return true;
  }

  /** The pod of this process that is that workload. */
  neighbour(workload: Workload): Pod | undefined {
    return this.#owner.podOf(workload);
  }

  /** The pod as the mesh knows it now; undefined until WDS has told of it. */
  local(): WorkloadFacts | undefined {
    const { memory, mesh } = this.runtime;
    const { version } = mesh;
    if (version === this.#localSeenAt) return this.#local;
    const { namespace, name, serviceAccount } = this.info;
    const workload = mesh.localWorkload(namespace, name, serviceAccount);
    this.#local = workload === undefined ? undefined : memory.of(workload);
    this.#localSeenAt = version;
    return this.#local;
  }

  add(connection: LiveConnection): void {
    this.connections.add(connection);
  }

  delete(connection: LiveConnection): void {
    this.connections.delete(connection);
    this.#checkEmpty();
  }

  sessionGone(session: Session): void {
    this.sessions.delete(session);
    this.#checkEmpty();
  }

  /** New connections are another process's; what is open goes on until `finish`. */
  drain(): void {
    if (this.draining || this.closed) return;
    this.draining = true;
    this.#doors?.close();
    this.#doors = null;
    for (const connection of this.connections.all()) connection.drain?.();
    for (const session of [...this.sessions]) session.drain();
    this.pool.drain();
    this.#checkEmpty();
  }

  /** Ends everything now. */
  close(error: string = DRAINED): void {
    if (this.closed) return;
    this.closed = true;
    this.#doors?.close();
    this.#doors = null;
    for (const connection of this.connections.all()) connection.kill(error);
    for (const session of [...this.sessions]) session.drop(error);
    this.pool.close(error);
    this.netns?.close();
    this.#checkEmpty();
  }

  /** Why the pod is not known, as Istio says it. */
  unknownText(): string {
    const { name, namespace, serviceAccount } = this.info;
    return `failed to fetch information about local workload: ${serviceAccount}.${namespace} (${name})`;
  }

  #checkEmpty(): void {
    if ((this.closed || this.draining) && this.connections.size === 0 && this.sessions.size === 0)
      this.#owner.onEmpty();
  }
}
