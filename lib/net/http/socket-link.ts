// SPDX-License-Identifier: Apache-2.0
// A TCP socket as a link.
import type { Arena } from '#lib/linux/arena.ts';
import { errnoName } from '#lib/linux/errno.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { type InputOwner, InputPlace } from '../input-turns.ts';
import { Outbox } from '../outbox.ts';
import { BROKEN, NOTHING_YET, type Socket, type SocketOwner } from '../socket.ts';
import type { HttpBench } from './bench.ts';
import { Link, type LinkOwner, NOBODY } from './link.ts';

/** Bytes read in a share of a turn before the neighbours are looked at. */
const SHARE_BYTES = 512 * 1024;
/** How long the peer may take to end its direction once we have closed, and what it may send until then; in a turn. */
const LINGER_MS = 1000;
const LINGER_BYTES = 16 * 1024 * 1024;
const LINGER_SHARE_BYTES = 256 * 1024;

export class SocketLink extends Link implements SocketOwner, Resumable, InputOwner, TimerTarget {
  resumeQueued = false;
  readonly socket: Socket;
  readonly #bench: HttpBench;
  readonly #place: InputPlace;
  #outbox: Outbox | null = null;
  /** Our direction ends once everything is sent. */
  #finishing = false;
  #finished = false;
  /** The peer's direction has ended. */
  #ended = false;
  /** Nobody listens any more: what waits is sent, what comes is thrown away. */
  #closing = false;
  /** Why it broke; told in the next turn. */
  #cause = '';
  #timer: TimerId = 0;
  /** Bytes thrown away since then. */
  #discarded = 0;
  /** Something waits for the next turn. */
  #putOff = false;

  /** Takes over a connected socket. What it already has is read in the next turn. `taken`: what it begins with in line (input-turns.ts). */
  constructor(bench: HttpBench, socket: Socket, owner: LinkOwner, taken = 0) {
    super(owner);
    this.#bench = bench;
    this.socket = socket;
    this.#place = new InputPlace(this, bench.loop.began, taken);
    socket.owner = this;
    if (socket.readable) bench.inputs.push(this.#place);
  }

  onSocket(socket: Socket): void {
    if (this.#outbox !== null && socket.writable) this.#drain();
    if (socket.readable && !this.paused) this.#bench.inputs.push(this.#place);
  }

  /** By the loop: what was put off. By the owner: goes on reading, when its turn comes. */
  resume(): void {
    if (this.#putOff && !this.resumeQueued) {
      this.#putOff = false;
      if (this.#cause !== '') this.#tell();
      else if (this.socket.readable && !this.paused) this.#bench.inputs.push(this.#place);
    } else if (this.paused) {
      this.paused = false;
      this.#later();
    }
  }

  onInputTurn(): boolean {
    return this.#cause === '' && this.#pump();
  }

  transmit(arena: Arena, start: number, length: number): void {
    if (this.closed) return;
    let sent = 0;
    if (this.#outbox === null && this.socket.writable) {
      sent = this.socket.send(arena, start, length);
      if (sent === BROKEN) {
        this.#broke();
        return;
      }
      if (sent === length) return;
    }
    this.#outbox ??= new Outbox(this.#bench.blocks, () => this.#overBudget());
    if (this.backlog === 0) this.progressAt = this.#bench.loop.now;
    if (this.#outbox.append(arena, start + sent, length - sent)) this.backlog = this.#outbox.bytes;
  }

  pause(): void {
    this.paused = true;
  }

  finish(): void {
    if (this.closed || this.#finishing) return;
    this.#finishing = true;
    this.#bench.cork.flushOf(this);
    if (this.#outbox === null) this.#finish();
  }

  close(): void {
    if (this.closed || this.#closing) return;
    this.#bench.cork.flushOf(this);
    if (this.closed) return;
    this.owner = NOBODY;
    this.#closing = true;
    this.paused = false;
    this.#timer = this.#bench.loop.after(LINGER_MS, this);
    this.finish();
    if (this.#outbox === null && this.#ended) this.#end();
    else this.#later();
  }

  abort(): void {
    if (this.closed) return;
    this.owner = NOBODY;
    this.socket.abort();
    this.#end();
  }

  onTimer(): void {
    this.#timer = 0;
    // A peer that neither reads nor ends: what it has not taken by now is lost to it.
    if (this.#outbox === null) this.#end();
    else if (this.#bench.loop.now - this.progressAt < LINGER_MS) this.#timer = this.#bench.loop.after(LINGER_MS, this);
    else this.abort();
  }

  #later(): void {
    this.#putOff = true;
    this.#bench.loop.again(this);
  }

  /** True when there may be more. */
  #pump(): boolean {
    const { inputs, receive } = this.#bench;
    const { socket } = this;
    let budget = this.#closing ? LINGER_SHARE_BYTES : SHARE_BYTES;
    while (socket.readable && !this.paused && !this.closed) {
      const n = this.#closing ? socket.discard(receive) : socket.receive(receive, 0, receive.size);
      if (n > 0) {
        if (!this.#closing) this.owner.onBytes(this, receive, 0, n);
        else if (!this.#discard(n)) return false;
        budget -= n;
        if (budget > 0 && !inputs.over()) continue;
        return true;
      }
      if (n === NOTHING_YET) return false;
      if (n === BROKEN) this.#broke();
      else if (!this.#ended) {
        this.#ended = true;
        if (this.#closing) {
          if (this.#outbox === null) this.#end();
        } else this.owner.onFin(this);
      }
      return false;
    }
    // A reset that must not wait until reading goes on.
    if (this.paused && !this.closed && socket.ending && socket.broken()) this.#broke();
    return false;
  }

  /** Throws away what comes after the end; false when it was too much of that, and the connection is cut. */
  #discard(bytes: number): boolean {
    this.#discarded += bytes;
    if (this.#discarded <= LINGER_BYTES) return true;
    this.abort();
    return false;
  }

  #drain(): void {
    const outbox = this.#outbox!;
    const sent = outbox.drain(this.socket);
    if (sent === BROKEN) {
      this.#broke();
      return;
    }
    if (sent > 0) this.progressAt = this.#bench.loop.now;
    this.backlog = outbox.bytes;
    if (outbox.bytes > 0) return;
    this.#outbox = null;
    if (this.#finishing) this.#finish();
    if (this.#closing) {
      if (this.#ended) this.#end();
      return;
    }
    this.owner.onDrained(this);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.socket.finish();
  }

  #overBudget(): void {
    this.#cause = 'memory for stopped readers is used up, this one held most';
    this.backlog = 0;
    this.#later();
  }

  #broke(): void {
    if (this.#closing) {
      this.abort();
      return;
    }
    if (this.#cause === '') this.#cause = errnoName(this.socket.errno);
    this.#later();
  }

  #tell(): void {
    if (this.closed) return;
    const { owner } = this;
    const cause = this.#cause;
    this.abort();
    owner.onBroken(this, cause);
  }

  #end(): void {
    this.closed = true;
    this.#outbox?.clear();
    this.#outbox = null;
    this.backlog = 0;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
    this.socket.close();
  }
}
