// SPDX-License-Identifier: Apache-2.0
// A server of a test, on a port that is free.
import type { AddressInfo, Server } from 'node:net';

/** Listens on every IPv4 address; gives the port. An HTTP server closes no connection because nobody used it for a while. */
export function listenAnywhere(server: Server): Promise<number> {
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = 0;
  return new Promise((done) => server.listen(0, '0.0.0.0', () => done((server.address() as AddressInfo).port)));
}

/** Listens on one port of several addresses, with a server made for each; gives the port. */
export async function listenAlike(ips: readonly string[], make: (ip: string) => Server): Promise<number> {
  for (;;) {
    const servers: Server[] = [];
    let port = 0;
    try {
      for (const ip of ips) {
        const server = make(ip);
        servers.push(server);
        port = await listenAt(server, ip, port);
      }
      return port;
    } catch (error) {
      for (const server of servers) server.close();
      // Free on the first address and taken on another: the next one is another.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

function listenAt(server: Server, ip: string, port: number): Promise<number> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(port, ip, () => done((server.address() as AddressInfo).port));
  });
}
