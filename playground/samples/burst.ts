// SPDX-License-Identifier: Apache-2.0
// Many requests in a row, and who answered them: `burst URL COUNT [name:value…]`. Prints one line of JSON with the
// number of answers by status and by the header x-version.
import { Agent, request } from 'node:http';

const WIDTH = 32;
const ANSWER_WITHIN_MS = 10_000;

export interface Burst {
  readonly statuses: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  /** Requests without an answer, by what went wrong. */
  readonly failures: Readonly<Record<string, number>>;
}

export async function burst(url: string, count: number, headers: Readonly<Record<string, string>>): Promise<Burst> {
  const agent = new Agent({ keepAlive: true, maxSockets: WIDTH });
  const statuses: Record<string, number> = {};
  const versions: Record<string, number> = {};
  const failures: Record<string, number> = {};
  const add = (to: Record<string, number>, name: string): void => {
    to[name] = (to[name] ?? 0) + 1;
  };
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const failed = (error: Error): void => {
        add(failures, error.message);
        resolve();
      };
      const asked = request(url, { agent, headers, timeout: ANSWER_WITHIN_MS }, (response) => {
        response.on('error', failed).on('end', () => {
          add(statuses, String(response.statusCode));
          const version = response.headers['x-version'];
          if (typeof version === 'string') add(versions, version);
          resolve();
        });
        response.resume();
      });
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
      asked.on('error', failed).end();
    });
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (sent < count) {
      sent++;
      await one();
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  agent.destroy();
  return { statuses, versions, failures };
}
