// SPDX-License-Identifier: Apache-2.0
// A TCP door between two programs on loopback, which a test can close (connections break), stall (bytes wait, as in a
// partition) and lead elsewhere (as a Service does when a replica goes).
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Door implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #port = 0;
  #targets: readonly number[];
  #stalled = false;

  private constructor(targets: readonly number[]) {
    this.#targets = targets;
    this.#server = createServer((client) => this.#enter(client, 0));
  }

  /** Opens on a free port; connections go to the first target that accepts. */
  static async open(...targets: number[]): Promise<Door> {
    const door = new Door(targets);
    await new Promise<void>((resolve) => door.#server.listen(0, '127.0.0.1', resolve));
    door.#port = (door.#server.address() as { port: number }).port;
    return door;
  }

  get port(): number {
    return this.#port;
  }

  /** New connections go there; what is open stays. */
  lead(...targets: number[]): void {
    this.#targets = targets;
  }

  /** Bytes wait on both sides, of new connections too, until `resume`. */
  stall(): void {
    this.#stalled = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  resume(): void {
    this.#stalled = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #enter(client: Socket, at: number): void {
    client.on('error', () => client.destroy());
    const port = this.#targets[at];
    if (port === undefined) {
      client.destroy();
      return;
    }
    const server = connect(port, '127.0.0.1');
    server.once('error', () => this.#enter(client, at + 1));
    server.once('connect', () => {
      server.removeAllListeners('error').on('error', () => server.destroy());
      const pair = [client, server] as const;
      this.#pairs.add(pair);
      const end = (): void => {
        this.#pairs.delete(pair);
        for (const socket of pair) socket.destroy();
      };
      const pass = (from: Socket, to: Socket): void => {
        from.on('data', (bytes: Buffer) => to.write(bytes)).on('close', end);
        if (this.#stalled) from.pause();
      };
      pass(client, server);
      pass(server, client);
    });
  }
}
