// SPDX-License-Identifier: Apache-2.0
// HTTP/2 in clear on a link: an application's own HTTP/2 connection, on a socket or inside a tunnel.
import type { Arena } from '#lib/linux/arena.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import { type InputOwner, InputPlace } from '../input-turns.ts';
import { Leftover } from '../leftover.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import type { HttpBench } from './bench.ts';
import type { Link, LinkOwner } from './link.ts';

/** Bytes that may wait below before the session is told that there is no room. */
const BACKLOG_BYTES = 128 * 1024;

export class LinkTransport implements Transport, LinkOwner, InputOwner {
  readonly #bench: HttpBench;
  readonly #link: Link;
  readonly #owner: TransportOwner;
  readonly #place: InputPlace;
  #open = false;
  /** What came and was not looked at when the share was over. The link is paused meanwhile. */
  #leftover: Leftover | null = null;

  /** Becomes the link's owner. `begin` opens it. */
  constructor(bench: HttpBench, link: Link, owner: TransportOwner) {
    this.#bench = bench;
    this.#link = link;
    this.#owner = owner;
    this.#place = new InputPlace(this, bench.loop.began);
    link.owner = this;
  }

  /** The session is made: bytes may flow. `peer` is who the layer below proved the other end to be. */
  begin(peer: PeerIdentity | null): void {
    this.#open = true;
    const refusal = this.#owner.onOpen(peer);
    if (refusal === '') return;
    this.abort();
    this.#owner.onTransportEnd(refusal, false);
  }

  room(): number {
    return this.#open && !this.#link.closed && this.#link.backlog < BACKLOG_BYTES ? this.#bench.staging.size : 0;
  }

  write(arena: Arena, length: number): boolean {
    if (this.#link.closed) return false;
    this.#link.transmit(arena, 0, length);
    return true;
  }

  drain(): boolean {
    return this.#link.backlog === 0;
  }

  shrink(): void {}

  finish(): void {
    this.#leftover = null;
    this.#link.close();
  }

  abort(): void {
    this.#leftover = null;
    this.#link.abort();
  }

  onBytes(_link: Link, arena: Arena, start: number, end: number): void {
    const { receive } = this.#bench;
    let from = start;
    if (arena === receive) from = this.#hand(start, end);
    // Streams take their content from the receive arena and no other.
    else
      for (let n = 0, taken = 0; from < end && taken === n; from += taken) {
        n = arena.bytes.copy(receive.bytes, 0, from, Math.min(end, from + receive.size));
        taken = this.#hand(0, n);
      }
    if (from === end || this.#link.owner !== this) return;
    this.#leftover = new Leftover(arena.bytes, from, end);
    this.#link.pause();
    this.#bench.inputs.push(this.#place);
  }

  onInputTurn(): boolean {
    for (let left = this.#leftover; left !== null && left === this.#leftover; ) {
      left.taken(this.#hand(0, left.peek(this.#bench.receive)));
      if (left !== this.#leftover) return false;
      if (left.bytes === 0) this.#leftover = null;
      else if (this.#bench.inputs.over()) return true;
    }
    if (!this.#link.closed && this.#link.owner === this) this.#link.resume();
    return false;
  }

  /** Hands over what lies in the receive arena; how far it was taken before the share was over. */
  #hand(start: number, end: number): number {
    const { inputs, receive } = this.#bench;
    let at = start;
    do at = this.#owner.onPlaintext(receive.bytes, at, end);
    while (at < end && this.#link.owner === this && !inputs.over());
    return at;
  }

  onFin(link: Link): void {
    link.close();
    this.#owner.onTransportEnd('closed by peer', true);
  }

  onBroken(_link: Link, cause: string): void {
    this.#leftover = null;
    this.#owner.onTransportEnd(cause, false);
  }

  onDrained(): void {
    this.#owner.onRoom();
  }
}
