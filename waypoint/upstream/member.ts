// SPDX-License-Identifier: Apache-2.0
// One endpoint of a cluster: where it is, how it is reached, what is under way to it, and its connections.

import { type ConnectionPool, DEFAULT_POOL, type EgressTunnel, type Keepalive } from '#lib/mesh/http/traffic-policy.ts';
import type { Host } from '#lib/mesh/upstream/host.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { dialThrough, type ThroughProxy } from '#lib/net/http/dial-through.ts';
import { HTTP_CLIENT } from '#lib/net/http/h2-client.ts';
import { type Dialling, type DialOutcome, Upstream, type UpstreamOptions } from '#lib/net/http/upstream.ts';
import { PING_TIMES, type PingTimes } from '#lib/net/session.ts';
import type { Alpn } from '#lib/tls/context.ts';
import type { TlsOrigination } from './origination.ts';
import { type ClientConnection, headerFirst, proxyHeader } from './proxy-header.ts';
import type { Reach } from './reach.ts';
import type { UpstreamRuntime } from './runtime.ts';

const TOLD_IDLE_MS = 30_000;
const NOT_BEGUN: Dialling = Object.freeze({ cancel() {} });

export class Member {
  readonly workload: Workload;
  /** What the balancer knows of it; null for a workload that was addressed itself. */
  readonly host: Host | null;
  /** It is a proxy, and streams go through it to what this names. */
  tunnel: EgressTunnel | undefined;
  readonly #runtime: UpstreamRuntime;
  readonly #reach: Reach;
  #pool: ConnectionPool = DEFAULT_POOL;
  #tls: TlsOrigination | null = null;
  /** Version of the PROXY protocol; 0 for none. */
  #proxy = 0;
  /** Connections that tell of one client, by version of HTTP and client. */
  #told: Map<string, Upstream> | null = null;
  #h1: Upstream | null = null;
  #h2: Upstream | null = null;

  constructor(runtime: UpstreamRuntime, workload: Workload, reach: Reach, host: Host | null = null) {
    this.#runtime = runtime;
    this.workload = workload;
    this.#reach = reach;
    this.host = host;
  }

  /** `ip:port`, or `name:port`. */
  get address(): string {
    return this.#reach.address;
  }

  /** Whether another way to it is this one. */
  isReachedBy({ key }: Reach): boolean {
    return key === this.#reach.key;
  }

  /** A request was given to it (+1), or is over (-1). */
  count(delta: 1 | -1): void {
    if (this.host !== null) this.host.active += delta;
  }

  /** By a tunnel, so that its node proves who it is. */
  get tunnelled(): boolean {
    return this.#reach.tunnelled;
  }

  /** Who is expected at its end of a tunnel; '' for none. */
  get principal(): string {
    return this.#reach.principal;
  }

  /** Limits of the connections made from now on. */
  set pool(pool: ConnectionPool) {
    if (pool === this.#pool) return;
    this.#pool = pool;
    if (this.#h1 !== null) this.#h1.options = this.#options('h1');
    if (this.#h2 !== null) this.#h2.options = this.#options('h2');
  }

  /** Connections from now on speak TLS inside whatever carries them; those without it, or with another, end. */
  set tls(tls: TlsOrigination | null) {
    if (tls === this.#tls) return;
    this.#tls = tls;
    this.close();
    this.#h1 = this.#h2 = null;
  }

  /** Connections from now on begin by telling who the client is; 0 for none. */
  set proxyProtocol(version: number) {
    if (version === this.#proxy) return;
    this.#proxy = version;
    this.close();
    this.#h1 = this.#h2 = this.#told = null;
  }

  /** `origin`: whose request it is; undefined for the proxy's own. */
  upstream(version: 'h1' | 'h2', origin?: ClientConnection): Upstream {
    if (this.#proxy !== 0) return this.#telling(version, origin);
    if (version === 'h1') {
      this.#h1 ??= new Upstream(this.#runtime.bench, this.#options('h1'));
      return this.#h1;
    }
    this.#h2 ??= new Upstream(this.#runtime.bench, this.#options('h2'));
    return this.#h2;
  }

  /** A connection for a stream that is no HTTP: to it, or through it. */
  dialStream(outcome: DialOutcome, origin: ClientConnection): Dialling {
    const { tunnel } = this;
    if (tunnel === undefined) return this.dial(outcome, origin);
    const { host, invalid, port } = tunnel;
    if (invalid !== '') {
      outcome.onNoLink(`no tunnel can be asked for: ${invalid}`);
      return NOT_BEGUN;
    }
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const method = tunnel.protocol === 'POST' ? 'POST' : 'CONNECT';
    const proxy: ThroughProxy = { method, authority, timeoutMs: this.#pool.connectTimeoutMs };
    return dialThrough(this.#runtime.bench, (inner) => this.dial(inner, origin, 'http/1.1'), proxy, outcome);
  }

  /** A connection of its own; for HTTP, `alpn` says which. */
  dial(outcome: DialOutcome, origin?: ClientConnection, alpn: Alpn = ''): Dialling {
    if (this.#tls === null) return this.#connect(outcome, origin);
    return this.#tls.dial((inner) => this.#connect(inner, origin), alpn, this.#pool.connectTimeoutMs, outcome);
  }

  #telling(version: 'h1' | 'h2', origin: ClientConnection | undefined): Upstream {
    this.#told ??= new Map();
    const key = `${version} ${origin?.sourceText ?? ''} ${origin?.destinationText ?? ''}`;
    let upstream = this.#told.get(key);
    if (upstream === undefined) {
      upstream = new Upstream(this.#runtime.bench, this.#options(version, origin));
      this.#told.set(key, upstream);
    }
    return upstream;
  }

  #connect(wanted: DialOutcome, origin: ClientConnection | undefined): Dialling {
    const outcome =
      this.#proxy === 0 ? wanted : headerFirst(this.#runtime.bench, proxyHeader(this.#proxy, origin), wanted);
    return this.#reach.connect(this.#pool, outcome);
  }

  sweep(now: number): void {
    this.#h1?.sweep(now);
    this.#h2?.sweep(now);
    if (this.#told === null) return;
    for (const [key, upstream] of this.#told) {
      upstream.sweep(now);
      // The client is gone, or has been silent for as long as connections are kept.
      if (upstream.unused) this.#told.delete(key);
    }
  }

  /** The endpoint is gone: requests under way end as they may, no other begins. */
  close(): void {
    this.#h1?.close();
    this.#h2?.close();
    for (const upstream of this.#told?.values() ?? []) upstream.close();
  }

  #options(version: 'h1' | 'h2', origin?: ClientConnection): UpstreamOptions {
    const pool = this.#pool;
    return {
      version,
      dial: (outcome) => this.dial(outcome, origin, version === 'h2' ? 'h2' : 'http/1.1'),
      scheme: this.#tls === null ? 'http' : 'https',
      h2: HTTP_CLIENT,
      maxConnections: pool.maxConnections,
      maxPending: pool.maxPendingRequests,
      maxRequestsPerConnection: pool.maxRequestsPerConnection,
      maxAgeMs: pool.maxConnectionDurationMs,
      maxStreams: pool.maxConcurrentStreams,
      // Who the client is changes with each of its connections: such a one is kept no longer than it is likely to be used.
      idleMs: this.#proxy === 0 ? pool.httpIdleTimeoutMs : Math.min(pool.httpIdleTimeoutMs, TOLD_IDLE_MS),
      connectTimeoutMs: pool.connectTimeoutMs,
      pings: pingTimes(pool.h2Keepalive),
    };
  }
}

/** Where a rule says nothing: the mesh's own, for a silent server must be found dead. */
function pingTimes(keepalive: Keepalive | undefined): PingTimes {
  if (keepalive === undefined) return PING_TIMES;
  const { intervalMs, timeMs } = keepalive;
  return { everyMs: timeMs || PING_TIMES.everyMs, pongWithinMs: intervalMs || PING_TIMES.pongWithinMs };
}
