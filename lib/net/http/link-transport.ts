// SPDX-License-Identifier: Apache-2.0
// HTTP/2 in clear on a link: an application's own HTTP/2 connection, on a socket or inside a tunnel.
import type { Arena } from '#lib/linux/arena.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import type { HttpBench } from './bench.ts';
import type { Link, LinkOwner } from './link.ts';

/** Bytes that may wait below before the session is told that there is no room. */
const BACKLOG_BYTES = 128 * 1024;

export class LinkTransport implements Transport, LinkOwner {
  readonly #bench: HttpBench;
  readonly #link: Link;
  readonly #owner: TransportOwner;
  #open = false;

  /** Becomes the link's owner. `begin` opens it. */
  constructor(bench: HttpBench, link: Link, owner: TransportOwner) {
    this.#bench = bench;
    this.#link = link;
    this.#owner = owner;
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
    this.#link.close();
  }

  abort(): void {
    this.#link.abort();
  }

  onBytes(_link: Link, arena: Arena, start: number, end: number): void {
    const { receive } = this.#bench;
    if (arena === receive) {
      this.#owner.onPlaintext(receive.bytes, start, end);
      return;
    }
    // Streams take their content from the receive arena and no other.
    for (let from = start; from < end; from += receive.size) {
      const n = Math.min(receive.size, end - from);
      arena.bytes.copy(receive.bytes, 0, from, from + n);
      this.#owner.onPlaintext(receive.bytes, 0, n);
    }
  }

  onFin(link: Link): void {
    link.close();
    this.#owner.onTransportEnd('closed by peer', true);
  }

  onBroken(_link: Link, cause: string): void {
    this.#owner.onTransportEnd(cause, false);
  }

  onDrained(): void {
    this.#owner.onRoom();
  }
}
