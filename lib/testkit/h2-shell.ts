// SPDX-License-Identifier: Apache-2.0
// The thinnest shell around the HTTP/2 engine: a net.Socket on one side, queues of bytes per stream on the other.
// For tests against other implementations over real sockets; the product's shell is lib/net.
import type { Socket } from 'node:net';
import { H2Connection, type Role } from '#lib/wire/h2/connection.ts';
import type { H2Handler } from '#lib/wire/h2/handler.ts';
import { GrowingOutput } from '#lib/wire/h2/output.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';

/** Bytes of one stream that wait for a window. */
interface Pending {
  chunks: Buffer[];
  end: boolean;
}

/** A connection on a socket. Subclass-free: the caller brings the handler, this brings sending with windows. */
export class H2Shell {
  readonly connection: H2Connection;
  readonly output = new GrowingOutput(64 << 20);
  readonly #socket: Socket;
  readonly #pending = new Map<H2Stream, Pending>();

  constructor(socket: Socket, role: Role, settings: H2Settings, handlerOf: (shell: H2Shell) => H2Handler) {
    this.#socket = socket;
    this.connection = new H2Connection(role, settings, handlerOf(this), this.output);
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      this.connection.receive(bytes, 0, bytes.length);
      this.flush();
      if (this.connection.ended) socket.end();
    });
    socket.on('error', () => socket.destroy());
    this.connection.start();
    this.flush();
  }

  /** Queues content; it goes out as windows allow. */
  send(stream: H2Stream, bytes: Buffer, end: boolean): void {
    const pending = this.#pending.get(stream) ?? { chunks: [], end: false };
    pending.chunks.push(bytes);
    pending.end = end;
    this.#pending.set(stream, pending);
    this.pump(stream);
  }

  /** Sends what the windows let through; to be called from `onSendable`. */
  pump(stream: H2Stream): void {
    const pending = this.#pending.get(stream);
    if (pending === undefined) return;
    while (pending.chunks.length > 0) {
      const chunk = pending.chunks[0]!;
      const last = pending.end && pending.chunks.length === 1;
      const taken = this.connection.writeData(stream, chunk, 0, chunk.length, last);
      if (taken < chunk.length) {
        if (taken === 0) return;
        pending.chunks[0] = chunk.subarray(taken);
      } else pending.chunks.shift();
    }
    this.#pending.delete(stream);
  }

  /** Octets waiting for a window. */
  queued(stream: H2Stream): number {
    return this.#pending.get(stream)?.chunks.reduce((sum, chunk) => sum + chunk.length, 0) ?? 0;
  }

  flush(): void {
    if (this.output.offset > 0 && !this.#socket.destroyed) this.#socket.write(this.output.take());
  }

  close(): void {
    this.#socket.destroy();
  }
}
