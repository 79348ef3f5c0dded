// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server in clear text around the engine, for judges from outside (h2spec) and for differential tests: it
// answers every request with 200 and a small body, and echoes what a CONNECT or an `/echo` request sends.

import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import type { H2Handler } from '#lib/wire/h2/handler.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { type H2Settings, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { H2Shell } from './h2-shell.ts';

const BODY = Buffer.from('a small answer\n');

/** What the server keeps of a stream. */
interface Exchange {
  readonly echo: boolean;
  answered: boolean;
}

class Answering implements H2Handler {
  readonly #shell: H2Shell;
  readonly #server: H2TcpServer;

  constructor(shell: H2Shell, server: H2TcpServer) {
    this.#shell = shell;
    this.#server = server;
  }

  onHeaders(stream: H2Stream, headers: HeaderBlock, endStream: boolean) {
    const { connection } = this.#shell;
    if (headers.method === '') return this.#finish(stream); // trailers
    const echo = headers.method === 'CONNECT' || headers.path === '/echo';
    const exchange: Exchange = { echo, answered: echo };
    stream.userData = exchange;
    const response = HeaderBlock.response(200).add('server', 'ambit-test');
    for (const field of headers.fields) if (field.name.startsWith('x-')) response.add(field.name, field.value);
    if (echo) connection.respond(stream, response, false);
    else if (headers.method === 'HEAD') connection.respond(stream, response, true);
    else {
      connection.respond(stream, response.add('content-length', String(BODY.length)), false);
      if (!endStream) return;
    }
    if (endStream) this.#finish(stream);
  }

  onData(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const exchange = stream.userData as Exchange;
    if (exchange.echo && end > start) this.#shell.send(stream, Buffer.from(buffer.subarray(start, end)), endStream);
    this.#shell.connection.consumed(stream, end - start);
    if (endStream && (!exchange.echo || end === start)) this.#finish(stream);
  }

  #finish(stream: H2Stream): void {
    if (stream.localEnded || stream.closed) return;
    const exchange = stream.userData as Exchange;
    this.#shell.send(stream, exchange.echo ? Buffer.alloc(0) : BODY, true);
  }

  onReset(_stream: H2Stream, code: number): void {
    this.#server.resets.push(code);
  }

  onSendable(stream: H2Stream): void {
    this.#shell.pump(stream);
  }

  onConnectionError(_code: number, reason: string): void {
    this.#server.errors.push(reason);
  }

  onRefused(_streamId: number, _code: number, reason: string): void {
    this.#server.refusals.push(reason);
  }

  onGoaway(): void {}
  onSettings(): void {}
  onPong(): void {}
  onDrained(): void {}
}

/** The server; `close` ends its connections too. */
export class H2TcpServer {
  readonly errors: string[] = [];
  readonly refusals: string[] = [];
  readonly resets: number[] = [];
  readonly shells = new Set<H2Shell>();
  readonly #sockets = new Set<Socket>();
  readonly #settings: H2Settings;
  readonly #server = createServer((socket) => this.#accept(socket));

  constructor(settings: H2Settings = HBONE_SERVER) {
    this.#settings = settings;
  }

  /** Listens on a free loopback port; returns it. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const shell = new H2Shell(socket, 'server', this.#settings, (own) => new Answering(own, this));
    this.shells.add(shell);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.shells.delete(shell);
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
