// SPDX-License-Identifier: Apache-2.0
// Passes TCP connections on, byte for byte: from the loopback address outside to the API server inside, or the other way.
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

export type Listen =
  | { readonly fd: number }
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

export interface Forwarder {
  readonly port: number;
  close(): void;
}

/** Accepts on `listen` and joins each connection with one to `target`. */
export async function forward(listen: Listen, target: NetConnectOpts): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ ...target, allowHalfOpen: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroySoon();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(listen, () => resolve()));
  return {
    port: (server.address() as AddressInfo | null)?.port ?? 0,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
