// SPDX-License-Identifier: Apache-2.0
// The catalogue: plain HTTP/1.1. Every answer tells which client address the server saw, and says one phrase that a
// capture can be searched for.
import { createServer, type IncomingMessage } from 'node:http';

/** Stands in every request and answer of the shop; seen on a wire, that wire is not encrypted. */
export const PHRASE = 'three-sacks-of-flour';

export function serveCatalog(port: number): void {
  createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify({ service: 'catalog', client: clientOf(request), items: [PHRASE] })}\n`);
  }).listen(port);
}

/** The peer's address as the server's kernel tells it, in the form in which Kubernetes writes pod addresses. */
export function clientOf(request: IncomingMessage): string {
  return plainAddress(request.socket.remoteAddress ?? '');
}

export function plainAddress(address: string): string {
  return address.replace(/^::ffff:/, '');
}
