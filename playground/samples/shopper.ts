// SPDX-License-Identifier: Apache-2.0
// The shopper: keeps four kinds of traffic busy and counts what fails.
//   short      a request on a connection of its own, HTTP
//   keepalive  requests on connections that stay, HTTP
//   grpc       one stream of questions and answers
//   tcp        one connection, a line for a line
// GET /stats tells the counts; POST /reconnect ends the long-lived connections in good order and opens new ones.
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { grpcLane, httpLane, type Lane, tcpLane } from './lanes.ts';
import { type Kind, Stats } from './stats.ts';
import type { Places } from './web.ts';

const PAUSE_MS = 50;
const ANSWER_WITHIN_MS = 10_000;

export function shop(port: number, places: Places): void {
  const stats = new Stats();
  let generation = 0;

  const keepOpen = async (kind: Kind, open: () => Promise<Lane>): Promise<never> => {
    for (;;) {
      const born = generation;
      let lane: Lane | undefined;
      try {
        lane = await open();
        stats.opened(kind);
        while (born === generation) {
          await within(lane.ask());
          stats.ok(kind);
          await delay(PAUSE_MS);
        }
        await lane.close();
      } catch (error) {
        stats.broken(kind, error);
        lane?.drop();
        await delay(PAUSE_MS);
      }
    }
  };
  const short = async (): Promise<never> => {
    for (;;) {
      try {
        const lane = await httpLane(places.web, '/', false);
        await within(lane.ask());
        await lane.close();
        stats.ok('short');
      } catch (error) {
        stats.failed('short', error);
      }
      await delay(PAUSE_MS);
    }
  };

  void short();
  void keepOpen('keepalive', () => httpLane(places.web, '/echo', true));
  void keepOpen('keepalive', () => httpLane(places.catalog, '/items', true));
  void keepOpen('grpc', () => grpcLane(places.price));
  void keepOpen('tcp', () => tcpLane(places.ledger));

  createServer((request, response) => {
    const answer = (): unknown =>
      response.end(`${JSON.stringify({ generation, tallies: stats.tallies, failures: stats.failures })}\n`);
    if (request.method !== 'POST' || request.url !== '/reconnect') return answer();
    generation++;
    // The shop's front keeps connections of its own.
    return fetch(`http://${places.web}/reconnect`, { method: 'POST', headers: { connection: 'close' } }).then(
      answer,
      (error: unknown) => {
        stats.failed('short', error);
        answer();
      },
    );
  }).listen(port);
}

async function within(answer: Promise<void>): Promise<void> {
  const late = new AbortController();
  const timeout = delay(ANSWER_WITHIN_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error(`no answer within ${ANSWER_WITHIN_MS} ms`);
  });
  try {
    await Promise.race([answer, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {});
  }
}
