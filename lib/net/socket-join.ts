// SPDX-License-Identifier: Apache-2.0
// Two sockets joined in one process: pass-through, plain inbound, and pods of one node without TLS between them.
//
// Each direction is read from one socket straight into the other, through the worker's receive arena; what the other does not
// take waits in one block-sized carry, and then that direction stops reading, so kernel buffers do the backpressure. FIN becomes
// FIN; anything else that ends a side becomes a reset on the other (trap 12).

import { errnoName } from '#lib/linux/errno.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import { Outbox } from './outbox.ts';
import { BROKEN, NOTHING_YET, type Socket, type SocketOwner } from './socket.ts';
import type { ByteTap } from './tap.ts';
import type { JoinOwner } from './tunnel-stream.ts';
import type { Workbench } from './workbench.ts';

/** Bytes one direction may move in a turn. */
const TURN_BYTES = 1024 * 1024;

export class SocketJoin implements SocketOwner, Resumable {
  resumeQueued = false;
  readonly #bench: Workbench;
  /** The side that dialled us, and the side we dialled. */
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #owner: JoinOwner;
  #tap: ByteTap | null;
  #toServer: Outbox | null = null;
  #toClient: Outbox | null = null;
  #clientEnded = false;
  #serverEnded = false;
  #over = false;

  /** Takes over both sockets. `owner.onBytesOut` counts from client to server. */
  constructor(bench: Workbench, client: Socket, server: Socket, owner: JoinOwner) {
    this.#bench = bench;
    this.#client = client;
    this.#server = server;
    this.#owner = owner;
    this.#tap = owner.tap?.() ?? null;
    client.owner = this;
    server.owner = this;
    bench.loop.again(this);
  }

  onSocket(): void {
    this.#move();
  }

  resume(): void {
    this.#move();
  }

  /** Ends the connection now, visibly broken on both sides. */
  kill(error: string): void {
    if (!this.#over) this.#end(error);
  }

  #move(): void {
    if (this.#over) return;
    if (!this.#forward(true) || !this.#forward(false)) return;
    if (this.#clientEnded && this.#serverEnded && this.#toServer === null && this.#toClient === null) this.#end('');
  }

  /** Moves what one direction has; false when that ended the connection. */
  #forward(up: boolean): boolean {
    const from = up ? this.#client : this.#server;
    const to = up ? this.#server : this.#client;
    if (!this.#drain(up, to)) return false;
    const { receive } = this.#bench;
    let budget = TURN_BYTES;
    while (
      from.readable &&
      (up ? this.#toServer : this.#toClient) === null &&
      !(up ? this.#clientEnded : this.#serverEnded)
    ) {
      const n = from.receive(receive, 0, receive.size);
      if (n === NOTHING_YET) return true;
      if (n === BROKEN) return this.#broke(from);
      if (n === 0) {
        if (up) this.#clientEnded = true;
        else this.#serverEnded = true;
        to.finish();
        return true;
      }
      if (this.#tap !== null) this.#show(up, receive.bytes, n);
      const sent = to.send(receive, 0, n);
      if (sent === BROKEN) return this.#broke(to);
      if (sent > 0) this.#count(up, sent);
      if (sent < n) return this.#carry(up, sent, n - sent);
      budget -= n;
      if (budget <= 0) {
        this.#bench.loop.again(this);
        return true;
      }
    }
    // A reset that must not wait until the other side takes what is carried.
    if (from.ending && from.readable && from.broken()) return this.#broke(from);
    return true;
  }

  #drain(up: boolean, to: Socket): boolean {
    const outbox = up ? this.#toServer : this.#toClient;
    if (outbox === null || !to.writable) return true;
    const sent = outbox.drain(to);
    if (sent === BROKEN) return this.#broke(to);
    if (sent > 0) this.#count(up, sent);
    if (outbox.bytes > 0) return true;
    if (up) this.#toServer = null;
    else this.#toClient = null;
    return true;
  }

  #carry(up: boolean, offset: number, length: number): boolean {
    const outbox = new Outbox(this.#bench.blocks, () =>
      this.kill('memory for stopped readers is used up, this one held most'),
    );
    if (up) this.#toServer = outbox;
    else this.#toClient = outbox;
    return outbox.append(this.#bench.receive, offset, length);
  }

  #show(up: boolean, bytes: Buffer, length: number): void {
    const more = up ? this.#tap?.onOut(bytes, 0, length) : this.#tap?.onIn(bytes, 0, length);
    if (more === false) this.#tap = null;
  }

  #count(up: boolean, n: number): void {
    if (up) this.#owner.onBytesOut(n);
    else this.#owner.onBytesIn(n);
  }

  #broke(socket: Socket): false {
    this.#end(`connection failed: ${errnoName(socket.errno)}`);
    return false;
  }

  #end(error: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#tap?.onTapEnd();
    this.#toServer?.clear();
    this.#toClient?.clear();
    if (error === '') {
      this.#client.close();
      this.#server.close();
    } else {
      this.#client.abort();
      this.#server.abort();
    }
    this.#owner.onJoinEnd(error);
  }
}
