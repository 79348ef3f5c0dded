// SPDX-License-Identifier: Apache-2.0
// Application sockets for tests on a loop: they write what they are told, keep what they read, and notice how it ended.

import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { peerAddress, tcpDial } from '#lib/linux/socket.ts';
import type { Acceptor } from '#lib/loop/acceptor.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { BROKEN, NOTHING_YET, Socket, type SocketOwner } from '#lib/net/socket.ts';
import { acceptAll, listenOn } from './relay.ts';

const arena = Arena.allocate(256 * 1024);

/** One end of a TCP connection. */
export class App implements SocketOwner {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  received = 0;
  /** How the other side's direction ended. */
  end: '' | 'fin' | 'reset' = '';
  /** Set to stop reading: bytes then wait in the kernel. */
  paused = false;
  /** Keep what is read (tests of content) or only count it. */
  keep = true;
  #toSend: Buffer = Buffer.alloc(0);
  #finAfter = false;

  constructor(loop: Loop, fd: number) {
    this.socket = new Socket(loop, fd, this);
  }

  /** From inside `netns`, or from here. */
  static dial(loop: Loop, to: Endpoint, netns?: Netns): App {
    const fd = tcpDial(to, { noDelay: true, netns: netns?.fd });
    if (fd < 0) throw new Error(`dial ${to}: errno ${-fd}`);
    return new App(loop, fd);
  }

  /** Address of the other end. */
  peerIp(): string {
    const endpoint = new Endpoint();
    peerAddress(this.socket.fd, endpoint);
    return endpoint.ip();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  get unsent(): number {
    return this.#toSend.length;
  }

  onSocket(): void {
    this.pump();
  }

  send(data: string | Buffer): void {
    this.#toSend = Buffer.concat([this.#toSend, typeof data === 'string' ? Buffer.from(data, 'latin1') : data]);
    if (this.socket.writable) this.pump();
  }

  /** FIN after everything that was sent. */
  finish(): void {
    this.#finAfter = true;
    if (this.socket.writable) this.pump();
  }

  pump(): void {
    const { socket } = this;
    while (this.#toSend.length > 0 && socket.writable && !socket.closed) {
      const n = this.#toSend.copy(arena.bytes, 0, 0, arena.size);
      const sent = socket.send(arena, 0, n);
      if (sent === BROKEN) {
        this.end = 'reset';
        return;
      }
      this.#toSend = this.#toSend.subarray(sent);
    }
    if (this.#finAfter && this.#toSend.length === 0) {
      this.#finAfter = false;
      socket.finish();
    }
    while (socket.readable && !this.paused && this.end === '' && !socket.closed) {
      const n = socket.receive(arena, 0, arena.size);
      if (n === NOTHING_YET) return;
      if (n === BROKEN) this.end = 'reset';
      else if (n === 0) this.end = 'fin';
      else {
        this.received += n;
        if (this.keep) this.chunks.push(Buffer.from(arena.bytes.subarray(0, n)));
      }
    }
  }
}

/** A listening application that collects its connections. */
export class AppServer {
  readonly connections: App[] = [];
  readonly endpoint: Endpoint;
  readonly #acceptor: Acceptor;

  constructor(loop: Loop, at: Endpoint, onConnection: (app: App) => void = () => {}, netns?: Netns) {
    const { fd, endpoint } = listenOn(at, netns?.fd);
    this.endpoint = endpoint;
    this.#acceptor = acceptAll(loop, fd, (accepted) => {
      const app = new App(loop, accepted);
      this.connections.push(app);
      onConnection(app);
    });
  }

  close(): void {
    this.#acceptor.close();
    for (const app of this.connections) app.socket.close();
  }
}
