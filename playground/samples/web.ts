// SPDX-License-Identifier: Apache-2.0
// The shop's front: HTTP/1.1, asks catalogue, price list and ledger for each page. POST /reconnect renews the connections
// that it keeps to them.

import { createServer } from 'node:http';
import { connect } from 'node:net';
import { clientOf, PHRASE } from './catalog.ts';
import { Upstreams } from './upstreams.ts';

export interface Places {
  readonly web: string;
  readonly catalog: string;
  readonly price: string;
  readonly ledger: string;
}

export function serveWeb(port: number, places: Places): void {
  let upstreams = new Upstreams(places.catalog, places.price);
  const page = async (): Promise<object> => {
    const [catalog, price, receipt] = await Promise.all([
      upstreams.items(),
      upstreams.quote('flour'),
      book(places.ledger, 'flour'),
    ]);
    return { catalog, price, receipt };
  };
  createServer((request, response) => {
    const reply = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ service: 'web', client: clientOf(request), phrase: PHRASE, ...body })}\n`);
    };
    // Readiness asks about this service alone, pages about all four.
    if (request.url === '/healthz') return reply(200, {});
    if (request.url === '/echo') return reply(200, {});
    if (request.method === 'POST' && request.url === '/reconnect') {
      upstreams.retire();
      upstreams = new Upstreams(places.catalog, places.price);
      return reply(200, {});
    }
    page().then(
      (body) => reply(200, body),
      (error: unknown) => reply(502, { error: String(error) }),
    );
  }).listen(port);
}

/** Books one line over a connection of its own, half-closing after it; gives the receipt. */
export function book(place: string, line: string): Promise<string> {
  const [host, port] = place.split(':');
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host: host!, port: Number(port), allowHalfOpen: true }, () => socket.end(`${line}\n`));
    socket.setTimeout(10_000, () => socket.destroy(new Error(`ledger ${place}: no answer within 10 s`)));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket
      .on('error', reject)
      .on('end', () =>
        text.endsWith('\n') ? resolve(text.trim()) : reject(new Error('ledger cut the receipt short')),
      );
  });
}
