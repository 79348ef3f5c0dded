// SPDX-License-Identifier: Apache-2.0
// A server that speaks first, and of HTTP not a word: it says hello, then whatever it is told.
import { createServer, type Socket } from 'node:net';
import { listenAnywhere } from './listen.ts';

export class Greeter {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.write('hello');
    socket.pipe(socket);
  });

  /** The port. */
  listen(): Promise<number> {
    return listenAnywhere(this.#server);
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
