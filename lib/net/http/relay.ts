// SPDX-License-Identifier: Apache-2.0
// Two links joined, for streams that are no HTTP: each direction with its own end, as in lib/net's joins of sockets.
import type { Arena } from '#lib/linux/arena.ts';
import { HIGH_WATER } from './exchange.ts';
import type { Link, LinkOwner } from './link.ts';

export interface RelayOwner {
  /** Over; once. `error` is '' for an end that both sides meant. */
  onRelayEnd(error: string, received: number, sent: number): void;
}

export class Relay {
  readonly #client: Link;
  readonly #server: Link;
  readonly #owner: RelayOwner;
  #clientEnded = false;
  #serverEnded = false;
  #over = false;
  /** From the client, and to it. */
  #received = 0;
  #sent = 0;

  /** Takes over both links; the client's goes on reading. `received` octets of it have been passed on already. */
  constructor(client: Link, server: Link, owner: RelayOwner, received = 0) {
    this.#received = received;
    this.#client = client;
    this.#server = server;
    this.#owner = owner;
    client.owner = this.#side(server, true);
    server.owner = this.#side(client, false);
    client.resume();
  }

  /** Octets that passed, either way. */
  get moved(): number {
    return this.#received + this.#sent;
  }

  /** Ends it, visibly broken on both sides. */
  kill(error: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#client.abort();
    this.#server.abort();
    this.#owner.onRelayEnd(error, this.#received, this.#sent);
  }

  #side(other: Link, fromClient: boolean): LinkOwner {
    return {
      onBytes: (link: Link, arena: Arena, start: number, end: number): void => {
        if (fromClient) this.#received += end - start;
        else this.#sent += end - start;
        other.transmit(arena, start, end - start);
        if (other.backlog >= HIGH_WATER) link.pause();
      },
      onFin: (): void => {
        if (fromClient) this.#clientEnded = true;
        else this.#serverEnded = true;
        other.finish();
        if (this.#clientEnded && this.#serverEnded) this.#end();
      },
      onBroken: (_link: Link, cause: string): void => this.kill(cause),
      onDrained: (): void => {
        if (!this.#over) other.resume();
      },
    };
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#client.close();
    this.#server.close();
    this.#owner.onRelayEnd('', this.#received, this.#sent);
  }
}
