// SPDX-License-Identifier: Apache-2.0
// HTTP as bytes on a socket, for tests that a well-behaved client library would not let happen.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { until } from './until.ts';

/** A connection on which a test writes and reads what it likes. */
export class RawClient {
  received = '';
  ended = false;
  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('close', () => {
      this.ended = true;
    });
    socket.on('error', () => {
      this.ended = true;
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const client = new RawClient(socket);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return client;
  }

  /** Sends text, its line feeds as CR LF. */
  send(text: string): void {
    this.socket.write(text.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n'), 'latin1');
  }

  /** Sends octets as they are. */
  sendRaw(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits until what was received matches. */
  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(
      `${pattern} in ${JSON.stringify(this.received.slice(-300))}`,
      () => pattern.exec(this.received) ?? undefined,
    );
  }

  async end(): Promise<void> {
    await until('the end of the connection', () => this.ended);
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A server on which a test answers what it likes; connections in the order of their arrival. */
export class RawServer implements AsyncDisposable {
  readonly connections: RawPeer[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.connections.push(new RawPeer(socket)));
  }

  static async listen(): Promise<RawServer> {
    const server = new RawServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '0.0.0.0', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The server's end of one connection. */
export class RawPeer {
  received = '';
  ended = false;
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', () => {
      this.ended = true;
    });
  }

  /** Waits until what was received matches. */
  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(
      `${pattern} at the server, which has ${JSON.stringify(this.received.slice(-300))}`,
      () => pattern.exec(this.received) ?? undefined,
    );
  }

  send(text: string): void {
    this.socket.write(text.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n'), 'latin1');
  }
}
