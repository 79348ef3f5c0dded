// SPDX-License-Identifier: Apache-2.0
// A TCP door between two programs on loopback, which a test can close (connections break), stall (bytes wait, as in a
// partition) and lead elsewhere (as a Service does when a replica goes).
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A port on loopback, or one elsewhere. */
export type Place = number | { readonly host: string; readonly port: number };

export class Door implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #port = 0;
  #targets: readonly Place[];
  #stalled = false;

  private constructor(targets: readonly Place[]) {
    this.#targets = targets;
    this.#server = createServer((client) => this.#enter(client, 0));
  }

  /** Opens on a free port; connections go to the first target that accepts. */
  static open(...targets: Place[]): Promise<Door> {
    return Door.openAt('127.0.0.1', ...targets);
  }

  /** Opens at an address of this machine. */
  static async openAt(host: string, ...targets: Place[]): Promise<Door> {
    const door = new Door(targets);
    await new Promise<void>((resolve) => door.#server.listen(0, host, resolve));
    door.#port = (door.#server.address() as { port: number }).port;
    return door;
  }

  get port(): number {
    return this.#port;
  }

  /** New connections go there; what is open stays. */
  lead(...targets: Place[]): void {
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
    const place = this.#targets[at];
    if (place === undefined) {
      client.destroy();
      return;
    }
    const server = connect(typeof place === 'number' ? { host: '127.0.0.1', port: place } : place);
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
