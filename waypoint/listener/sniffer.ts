// SPDX-License-Identifier: Apache-2.0
// The first bytes of a connection decide what it speaks: HTTP/2's preface, a request line, or neither. Whoever speaks next gets
// them all.
import type { Arena } from '#lib/linux/arena.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import type { Link, LinkOwner } from '#lib/net/http/link.ts';
import { detectProtocol } from '#lib/wire/http/detect.ts';

export interface SniffOwner {
  /** Decided: the link's owner must be another when this returns; then it gets the bytes. */
  onProtocol(link: Link, protocol: 'h1' | 'h2' | 'other'): void;
  /** The client left before it said enough. */
  onNoProtocol(link: Link): void;
}

/** A client that says nothing speaks a protocol whose servers speak first. */
export const SILENCE_MS = 15_000;
const MAX_FIRST_BYTES = 64;

export class Sniffer implements LinkOwner, TimerTarget {
  readonly #bench: HttpBench;
  readonly #link: Link;
  readonly #owner: SniffOwner;
  readonly #httpOnly: boolean;
  #held: Buffer | null = null;
  #timer: TimerId;
  #over = false;

  /** `httpOnly`: what is no HTTP is not served. */
  constructor(bench: HttpBench, link: Link, httpOnly: boolean, owner: SniffOwner) {
    this.#bench = bench;
    this.#link = link;
    this.#owner = owner;
    this.#httpOnly = httpOnly;
    this.#timer = bench.loop.after(SILENCE_MS, this);
    link.owner = this;
  }

  onBytes(link: Link, arena: Arena, start: number, end: number): void {
    let from = start;
    let to = end;
    let source = arena;
    if (this.#held !== null) {
      // Never more than the arena holds: reads are of its receive arena's size at most.
      source = this.#bench.first;
      from = 0;
      to = this.#held.copy(source.bytes, 0);
      to += arena.bytes.copy(source.bytes, to, start, end);
    }
    let protocol = detectProtocol(source.bytes, from, to);
    if (protocol === 'more' && to - from >= MAX_FIRST_BYTES) protocol = 'other';
    if (protocol === 'more') {
      this.#held = Buffer.from(source.bytes.subarray(from, to));
      return;
    }
    if (protocol === 'other' && this.#httpOnly) {
      this.#leave();
      this.#owner.onNoProtocol(link);
      return;
    }
    this.#decide(protocol);
    if (!link.closed) link.owner.onBytes(link, source, from, to);
  }

  onFin(link: Link): void {
    this.#leave();
    this.#owner.onNoProtocol(link);
  }

  onBroken(link: Link): void {
    this.#leave();
    this.#owner.onNoProtocol(link);
  }

  onDrained(): void {}

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    const held = this.#held;
    if (held === null && this.#httpOnly) {
      this.#leave();
      this.#owner.onNoProtocol(this.#link);
      return;
    }
    const link = this.#link;
    this.#decide(this.#httpOnly ? 'h1' : 'other');
    if (held === null || link.closed) return;
    const { first } = this.#bench;
    held.copy(first.bytes, 0);
    link.owner.onBytes(link, first, 0, held.length);
  }

  #decide(protocol: 'h1' | 'h2' | 'other'): void {
    this.#leave();
    this.#owner.onProtocol(this.#link, protocol);
  }

  #leave(): void {
    this.#over = true;
    this.#held = null;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
