// SPDX-License-Identifier: Apache-2.0
// One long-lived way to ask a service, by protocol: open, ask again and again, close in good order.
// A lane never reconnects by itself: a lost connection must show.

import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { priceClient, type Quote } from './price.ts';

export interface Lane {
  /** One question, answered in full; rejects when the answer is missing, wrong, or the connection was lost. */
  ask(): Promise<void>;
  close(): Promise<void>;
  /** Lets go of a lane that was lost, so that nothing of it serves the next one. */
  drop(): void;
}

/** HTTP on exactly one connection; `keep` says whether it serves more than one request. */
export async function httpLane(place: string, path: string, keep: boolean): Promise<Lane> {
  const agent = new Agent({ keepAlive: keep, maxSockets: 1 });
  let first: unknown;
  return {
    ask: () =>
      new Promise((resolve, reject) => {
        const [host, port] = place.split(':');
        const asked = request({ host, port, path, agent, method: 'GET' }, (response) => {
          if (keep && first !== undefined && first !== response.socket)
            return reject(new Error('the kept connection was replaced'));
          first = response.socket;
          response
            .on('error', reject)
            .on('end', () =>
              response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
            );
          response.resume();
        });
        asked.on('error', reject).end();
      }),
    close: async () => agent.destroy(),
    drop: () => agent.destroy(),
  };
}

/** One gRPC stream that goes both ways. */
export async function grpcLane(place: string): Promise<Lane> {
  const client = priceClient(place);
  const stream = client.Watch();
  let lost: Error | undefined;
  let closing = false;
  stream.on('error', (error: Error) => {
    lost = error;
  });
  stream.on('end', () => {
    if (!closing) lost ??= new Error('the stream ended');
  });
  return {
    ask: async () => {
      if (lost !== undefined) throw lost;
      const answered = once(stream, 'data') as Promise<[Quote]>;
      stream.write({ item: 'flour' });
      const [quote] = await answered;
      if (quote.cents !== 5) throw new Error(`wrong quote ${JSON.stringify(quote)}`);
    },
    close: async () => {
      closing = true;
      stream.end();
      stream.resume();
      await once(stream, 'end');
      client.close();
    },
    drop: () => {
      stream.cancel();
      client.close();
    },
  };
}

/** One TCP connection, a line for a line. */
export async function tcpLane(place: string): Promise<Lane> {
  const [host, port] = place.split(':');
  const socket = connect({ host: host!, port: Number(port), allowHalfOpen: true });
  socket.setEncoding('utf8');
  await once(socket, 'connect');
  const chunks = socket.iterator({ destroyOnReturn: false });
  let count = 0;
  let buffered = '';
  return {
    ask: async () => {
      const line = `flour-${count++}`;
      socket.write(`${line}\n`);
      while (!buffered.includes('\n')) {
        const chunk = (await chunks.next()) as IteratorResult<string>;
        if (chunk.done) throw new Error('the connection ended');
        buffered += chunk.value;
      }
      const end = buffered.indexOf('\n');
      const receipt = buffered.slice(0, end);
      buffered = buffered.slice(end + 1);
      if (!receipt.startsWith(`booked ${line} `)) throw new Error(`wrong receipt ${JSON.stringify(receipt)}`);
    },
    close: async () => {
      socket.end();
      while (!(await chunks.next()).done);
      socket.destroy();
    },
    drop: () => void socket.destroy(),
  };
}
