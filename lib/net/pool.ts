// SPDX-License-Identifier: Apache-2.0
// Client tunnels of one pod, by where they lead and who is expected there. Never shared between pods.
//
// One dial a key at a time: whoever comes meanwhile waits for it. A tunnel takes as many streams as the peer allows, at most
// `streamsPerTunnel`; when all are full, or the one with most room is saturated, another is dialled beside it. What has
// no stream for `idleMs` is drained, and so is the tunnel used longest ago when there are `maxTunnels`. A failed dial fails all who waited for it: each of them may try another endpoint.

import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import type { Session, SessionOwner } from './session.ts';

/** Where a tunnel leads; equal `key` means the same tunnel will do. */
export interface TunnelTarget {
  /** Source identity, expected server identities in order, destination and source address. */
  readonly key: string;
}

/** Somebody who wants a stream. Called once, either way, maybe before `acquire` returns. */
export interface TunnelWaiter {
  /** A stream may be opened on `session` right now. */
  onTunnel(session: Session): void;
  onNoTunnel(cause: string): void;
}

export interface PoolOptions<T extends TunnelTarget> {
  readonly loop: Loop;
  /** Makes a session that reports to `owner`; a text says why that was not even begun. */
  readonly dial: (target: T, owner: SessionOwner) => Session | string;
  /** Why the server that answered is not the one wanted, or ''. */
  readonly judge: (target: T, peer: PeerIdentity | null) => string;
  readonly streamsPerTunnel: number;
  readonly idleMs: number;
  /** Tunnels that take streams, in all; default 500. */
  readonly maxTunnels?: number;
}

/** Tunnels for one key because of saturation alone; more only when streams run out. */
const TUNNELS_FOR_SPEED = 2;
const SWEEP_MS = 5_000;
const DEFAULT_MAX_TUNNELS = 500;

class Lane<T extends TunnelTarget> implements SessionOwner {
  readonly target: T;
  readonly sessions: Session[] = [];
  readonly waiting: TunnelWaiter[] = [];
  dialing: Session | null = null;
  /** Monotonic ms of the last stream that was wanted here. */
  usedAt = 0;
  readonly #pool: TunnelPool<T>;

  constructor(pool: TunnelPool<T>, target: T) {
    this.#pool = pool;
    this.target = target;
  }

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    return this.#pool.options.judge(this.target, peer);
  }

  onUsable(session: Session): void {
    if (this.dialing === session) this.dialing = null;
    this.sessions.push(session);
    this.#pool.serve(this, '');
  }

  onRequest(session: Session, stream: H2Stream): void {
    // Servers open no streams (RFC 9113 section 5.1.1, push is off): the engine never comes here.
    session.h2.resetStream(stream, 1);
  }

  onStreamGone(_session: Session): void {
    if (this.waiting.length > 0) this.#pool.serve(this, '');
  }

  onSessionEnd(session: Session, cause: string): void {
    const at = this.sessions.indexOf(session);
    if (at >= 0) this.sessions.splice(at, 1);
    if (this.dialing !== session) {
      this.#pool.forgetIfEmpty(this);
      return;
    }
    this.dialing = null;
    this.#pool.serve(this, cause);
  }
}

export class TunnelPool<T extends TunnelTarget> implements TimerTarget {
  readonly options: PoolOptions<T>;
  readonly #lanes = new Map<string, Lane<T>>();
  #timer: TimerId;
  #closed = false;

  constructor(options: PoolOptions<T>) {
    this.options = options;
    this.#timer = options.loop.afterAbout(SWEEP_MS, this);
  }

  /** Tunnels, usable or on their way. */
  get size(): number {
    let size = 0;
    for (const lane of this.#lanes.values()) size += lane.sessions.length + (lane.dialing === null ? 0 : 1);
    return size;
  }

  acquire(target: T, waiter: TunnelWaiter): void {
    if (this.#closed) {
      waiter.onNoTunnel('connection closed due to connection drain');
      return;
    }
    let lane = this.#lanes.get(target.key);
    if (lane === undefined) {
      lane = new Lane(this, target);
      this.#lanes.set(target.key, lane);
    }
    lane.usedAt = this.options.loop.now;
    const session = this.#best(lane);
    if (session !== null && !(session.saturated && this.#mayAddForSpeed(lane))) {
      waiter.onTunnel(session);
      return;
    }
    lane.waiting.push(waiter);
    this.#dial(lane);
  }

  /** Takes somebody off who no longer waits. */
  cancel(target: T, waiter: TunnelWaiter): void {
    const lane = this.#lanes.get(target.key);
    const at = lane?.waiting.indexOf(waiter) ?? -1;
    if (at >= 0) lane!.waiting.splice(at, 1);
  }

  /** Gives waiters what there is; `cause` is why the last dial failed. Not for callers of the pool. */
  serve(lane: Lane<T>, cause: string): void {
    while (lane.waiting.length > 0) {
      const session = this.#best(lane);
      if (session === null) break;
      lane.waiting.shift()!.onTunnel(session);
    }
    if (lane.waiting.length > 0 && lane.dialing === null) {
      if (cause === '') this.#dial(lane);
      else for (const waiter of lane.waiting.splice(0)) waiter.onNoTunnel(cause);
    }
    this.forgetIfEmpty(lane);
  }

  /** Not for callers of the pool. */
  forgetIfEmpty(lane: Lane<T>): void {
    if (lane.sessions.length > 0 || lane.dialing !== null || lane.waiting.length > 0) return;
    if (this.#lanes.get(lane.target.key) === lane) this.#lanes.delete(lane.target.key);
  }

  /** Graceful end: no new streams, tunnels end with their last stream. */
  drain(): void {
    this.#shut('connection closed due to connection drain');
    for (const lane of [...this.#lanes.values()]) for (const session of [...lane.sessions]) session.drain();
  }

  /** The pod is gone: every tunnel ends now (trap 16). */
  close(cause: string): void {
    this.#shut(cause);
    for (const lane of [...this.#lanes.values()]) {
      lane.dialing?.drop(cause);
      for (const session of [...lane.sessions]) session.drop(cause);
    }
  }

  /** Ends the tunnels that `doomed` picks: streams in them are cut. */
  dropWhere(doomed: (session: Session) => boolean, cause: string): void {
    for (const lane of [...this.#lanes.values()]) {
      for (const session of [...lane.sessions]) if (doomed(session)) session.drop(cause);
    }
  }

  /** The tunnels that `picked` picks take no more streams and end with their last one. */
  drainWhere(picked: (session: Session) => boolean): void {
    for (const lane of [...this.#lanes.values()]) {
      for (const session of [...lane.sessions]) if (picked(session)) session.drain();
    }
  }

  onTimer(): void {
    const now = this.options.loop.now;
    this.#timer = this.options.loop.afterAbout(SWEEP_MS, this);
    for (const lane of [...this.#lanes.values()]) {
      for (const session of [...lane.sessions]) {
        if (session.h2.openStreams === 0 && now - session.idleSince >= this.options.idleMs) session.drain();
      }
    }
  }

  #shut(cause: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.options.loop.cancel(this.#timer);
    for (const lane of [...this.#lanes.values()]) {
      for (const waiter of lane.waiting.splice(0)) waiter.onNoTunnel(cause);
    }
  }

  /** The usable tunnel with most room, preferring those that are not saturated. */
  #best(lane: Lane<T>): Session | null {
    let best: Session | null = null;
    let bestRoom = 0;
    for (const session of lane.sessions) {
      const open = session.h2.openStreams;
      const room = Math.min(session.h2.availableStreams, this.options.streamsPerTunnel - open);
      if (room <= 0 || session.state !== 'open') continue;
      // Filling the first before the second keeps tunnels few; a saturated one comes last.
      const score = session.saturated ? 1 : 1 + this.options.streamsPerTunnel + open;
      if (score > bestRoom) {
        bestRoom = score;
        best = session;
      }
    }
    return best;
  }

  /** Drains the tunnel that nobody asked for longest, when there are as many as may be. */
  #makeRoom(): void {
    let open = 0;
    let oldest: Lane<T> | null = null;
    for (const lane of this.#lanes.values()) {
      const own = openOf(lane);
      open += own + (lane.dialing === null ? 0 : 1);
      if (own > 0 && (oldest === null || lane.usedAt < oldest.usedAt)) oldest = lane;
    }
    if (oldest === null || open < (this.options.maxTunnels ?? DEFAULT_MAX_TUNNELS)) return;
    for (const session of [...oldest.sessions]) if (session.state === 'open') session.drain();
  }

  #mayAddForSpeed(lane: Lane<T>): boolean {
    return lane.dialing !== null || openOf(lane) < TUNNELS_FOR_SPEED;
  }

  #dial(lane: Lane<T>): void {
    if (lane.dialing !== null) return;
    this.#makeRoom();
    const session = this.options.dial(lane.target, lane);
    if (typeof session === 'string') {
      this.serve(lane, session);
      return;
    }
    if (session.state !== 'closed') lane.dialing = session;
  }
}

/** Tunnels that take streams. */
function openOf({ sessions }: { readonly sessions: readonly Session[] }): number {
  let open = 0;
  for (const { state } of sessions) if (state === 'open') open++;
  return open;
}
