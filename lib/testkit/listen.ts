// SPDX-License-Identifier: Apache-2.0
// A server of a test, on a port that is free.
import type { AddressInfo, Server } from 'node:net';

/** Listens on every IPv4 address; gives the port. */
export function listenAnywhere(server: Server): Promise<number> {
  return new Promise((done) => server.listen(0, '0.0.0.0', () => done((server.address() as AddressInfo).port)));
}
