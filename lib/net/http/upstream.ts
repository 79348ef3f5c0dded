// SPDX-License-Identifier: Apache-2.0
// Connections to one place, for one version of HTTP: idle ones are taken again, the last used first; with none idle another is
// made while the request waits, and whatever comes free first serves it. HTTP/2 shares connections between requests.
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import { type PingTimes, Session, type SessionOwner } from '../session.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import type { HttpBench } from './bench.ts';
import type { ClientStream, FailureKind } from './exchange.ts';
import { H1Client, type H1Home } from './h1-client.ts';
import { H2Client } from './h2-client.ts';
import type { Link } from './link.ts';
import { LinkTransport } from './link-transport.ts';

/** Who made a connection, or could not. Called once. */
export interface DialOutcome {
  onLink(link: Link, localAddress: string): void;
  onNoLink(cause: string): void;
}

/** A connection on its way. */
export interface Dialling {
  cancel(): void;
}

/** Makes connections to the place. */
export type Dialler = (outcome: DialOutcome) => Dialling;

/** Who wants to send a request. Called once, maybe before `acquire` returns. */
export interface ClientWaiter {
  /** `send` must be called before this returns. */
  onClient(client: ClientStream): void;
  onNoClient(kind: FailureKind, cause: string): void;
}

export interface UpstreamOptions {
  readonly version: 'h1' | 'h2';
  readonly dial: Dialler;
  /** What HTTP/2 says of itself. */
  readonly scheme: 'http' | 'https';
  readonly h2: H2Settings;
  /** Connections at once. */
  readonly maxConnections: number;
  /** Requests that may wait for a connection. */
  readonly maxPending: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
  /** No request begins on a connection that is older, ms; 0: no limit. */
  readonly maxAgeMs: number;
  /** Requests at once in one HTTP/2 connection; 0: what the peer allows. */
  readonly maxStreams: number;
  readonly idleMs: number;
  /** Until an HTTP/2 connection must be usable. */
  readonly connectTimeoutMs: number;
  /** Of HTTP/2 connections. */
  readonly pings: PingTimes;
}

export class Upstream implements H1Home {
  options: UpstreamOptions;
  /** Connections, idle or not, without those on their way. */
  open = 0;
  readonly #bench: HttpBench;
  readonly #idle: H1Client[] = [];
  readonly #shared: SharedConnection[] = [];
  readonly #waiting: ClientWaiter[] = [];
  readonly #dials = new Set<Attempt>();
  #closed = false;

  constructor(bench: HttpBench, options: UpstreamOptions) {
    this.#bench = bench;
    this.options = options;
  }

  /** Nothing is open and nobody waits. */
  get unused(): boolean {
    return this.open === 0 && this.#dials.size === 0 && this.#waiting.length === 0;
  }

  acquire(waiter: ClientWaiter): void {
    if (this.#serve(waiter)) return;
    const { maxConnections, maxPending, version } = this.options;
    if (this.#closed) {
      waiter.onNoClient('connect', 'connections are drained');
      return;
    }
    if (this.#waiting.length >= maxPending) {
      waiter.onNoClient('overflow', 'too many requests wait for a connection');
      return;
    }
    const mayDial = this.open + this.#dials.size < maxConnections && (version === 'h1' || this.#dials.size === 0);
    this.#waiting.push(waiter);
    if (mayDial) this.#dial();
  }

  /** Takes somebody off who no longer waits. */
  cancel(waiter: ClientWaiter): void {
    const at = this.#waiting.indexOf(waiter);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** Ends what has been idle for too long. */
  sweep(now: number): void {
    const { idleMs } = this.options;
    while (this.#idle.length > 0 && now - this.#idle[0]!.idleSince >= idleMs) this.#idle.shift()!.close();
    for (const client of this.#idle.filter(({ bornAt }) => this.#isOld(bornAt))) client.close();
    for (const shared of [...this.#shared]) shared.sweep(now, idleMs);
  }

  /** No new requests; what is idle ends now, the rest with its last request. */
  close(): void {
    this.#closed = true;
    for (const client of this.#idle.splice(0)) client.close();
    for (const shared of [...this.#shared]) shared.session.drain();
    for (const dial of [...this.#dials]) dial.cancel();
    for (const waiter of this.#waiting.splice(0)) waiter.onNoClient('connect', 'connections are drained');
  }

  // === H1Home ===

  onIdle(client: H1Client): void {
    const { maxRequestsPerConnection } = this.options;
    const worn = maxRequestsPerConnection > 0 && client.requests >= maxRequestsPerConnection;
    if (this.#closed || worn || this.#isOld(client.bornAt)) {
      client.close();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#idle.push(client);
    else waiter.onClient(client);
  }

  onGone(client: H1Client): void {
    this.open--;
    const at = this.#idle.lastIndexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#refill();
  }

  // === for its own connections ===

  onDialled(attempt: Attempt, link: Link, localAddress: string): void {
    this.#dials.delete(attempt);
    this.open++;
    if (this.options.version === 'h1') this.onIdle(new H1Client(this.#bench, link, this, localAddress));
    else this.#shared.push(new SharedConnection(this.#bench, this, link, localAddress));
  }

  onNotDialled(attempt: Attempt, cause: string): void {
    this.#dials.delete(attempt);
    this.#failed(cause);
  }

  onShared(): void {
    while (this.#waiting.length > 0) {
      const shared = this.#withRoom();
      if (shared === undefined) break;
      this.#waiting.shift()!.onClient(shared.take());
    }
    this.#refill();
  }

  /** `cause` is '' for the end of a connection that had been usable. */
  onSharedGone(shared: SharedConnection, cause: string): void {
    this.open--;
    const at = this.#shared.indexOf(shared);
    if (at >= 0) this.#shared.splice(at, 1);
    if (cause !== '') this.#failed(cause);
    else this.#refill();
  }

  // === inside ===

  #isOld(bornAt: number): boolean {
    const { maxAgeMs } = this.options;
    return maxAgeMs > 0 && this.#bench.loop.now - bornAt >= maxAgeMs;
  }

  #serve(waiter: ClientWaiter): boolean {
    if (this.options.version === 'h1') {
      const client = this.#idle.pop();
      if (client === undefined) return false;
      if (this.#isOld(client.bornAt)) {
        client.close();
        return this.#serve(waiter);
      }
      waiter.onClient(client);
      return true;
    }
    const shared = this.#withRoom();
    if (shared === undefined) return false;
    waiter.onClient(shared.take());
    return true;
  }

  #withRoom(): SharedConnection | undefined {
    for (const shared of this.#shared) if (shared.room(this.options) > 0) return shared;
    return undefined;
  }

  #dial(): void {
    const attempt = new Attempt(this);
    this.#dials.add(attempt);
    attempt.begin(this.options.dial);
  }

  /** One connection less is on its way: one request less can hope; all of them where they would have shared it. */
  #failed(cause: string): void {
    const count = this.options.version === 'h1' ? 1 : this.#waiting.length;
    for (const waiter of this.#waiting.splice(0, count)) waiter.onNoClient('connect', cause);
    this.#refill();
  }

  #refill(): void {
    const { maxConnections, version } = this.options;
    const wanted = version === 'h1' ? this.#waiting.length : Math.min(1, this.#waiting.length);
    while (this.#dials.size < wanted && this.open + this.#dials.size < maxConnections && !this.#closed) this.#dial();
  }
}

/** One connection on its way. */
class Attempt implements DialOutcome {
  readonly #upstream: Upstream;
  #dialling: Dialling | null = null;
  #over = false;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  begin(dial: Dialler): void {
    const dialling = dial(this);
    if (!this.#over) this.#dialling = dialling;
  }

  cancel(): void {
    this.#dialling?.cancel();
    this.onNoLink('connections are drained');
  }

  onLink(link: Link, localAddress: string): void {
    if (this.#over) {
      link.abort();
      return;
    }
    this.#over = true;
    this.#upstream.onDialled(this, link, localAddress);
  }

  onNoLink(cause: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#upstream.onNotDialled(this, cause);
  }
}

/** An HTTP/2 connection that many requests share. */
class SharedConnection implements SessionOwner, TimerTarget {
  readonly session: Session;
  readonly #bench: HttpBench;
  readonly #upstream: Upstream;
  readonly #localAddress: string;
  readonly #bornAt: number;
  #requests = 0;
  #usable = false;
  #timer: TimerId;

  constructor(bench: HttpBench, upstream: Upstream, link: Link, localAddress: string) {
    this.#bench = bench;
    this.#upstream = upstream;
    this.#localAddress = localAddress;
    this.#bornAt = bench.loop.now;
    this.#timer = bench.loop.after(upstream.options.connectTimeoutMs, this);
    let transport: LinkTransport | undefined;
    const { h2, pings } = upstream.options;
    const begin = (owner: TransportOwner): Transport => {
      transport = new LinkTransport(bench, link, owner);
      return transport;
    };
    this.session = new Session(bench, 'client', h2, this, begin, pings);
    transport!.begin(null);
  }

  /** Requests that it takes now. */
  room({ maxAgeMs, maxRequestsPerConnection, maxStreams }: UpstreamOptions): number {
    const { session } = this;
    if (session.state !== 'open' || !this.#usable) return 0;
    if (maxAgeMs > 0 && this.#bench.loop.now - this.#bornAt >= maxAgeMs) return 0;
    let room = session.h2.availableStreams;
    if (maxStreams > 0) room = Math.min(room, maxStreams - session.h2.openStreams);
    if (maxRequestsPerConnection > 0) room = Math.min(room, maxRequestsPerConnection - this.#requests);
    return room;
  }

  take(): ClientStream {
    this.#requests++;
    return new H2Client(this.#bench, this.session, this.#localAddress, this.#upstream.options.scheme);
  }

  sweep(now: number, idleMs: number): void {
    const worn = this.room(this.#upstream.options) <= 0 && this.#usable;
    if (this.session.h2.openStreams > 0) return;
    if (worn || now - this.session.idleSince >= idleMs) this.session.drain();
  }

  onPeer(): string {
    return '';
  }

  onUsable(): void {
    this.#usable = true;
    this.#disarm();
    this.#upstream.onShared();
  }

  onRequest(session: Session, stream: Parameters<SessionOwner['onRequest']>[1]): void {
    session.h2.resetStream(stream, 1);
  }

  onStreamGone(): void {
    this.#upstream.onShared();
  }

  onSessionEnd(_session: Session, cause: string): void {
    this.#disarm();
    this.#upstream.onSharedGone(this, this.#usable ? '' : cause);
  }

  onTimer(): void {
    this.#timer = 0;
    this.session.drop('HTTP/2 connection timed out');
  }

  #disarm(): void {
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
