// SPDX-License-Identifier: Apache-2.0
// Traffic between two pods that should not notice anything: kept connections, and a new one every 20 ms.
import { join } from 'node:path';
import type { PodNetwork, TestPod } from '#lib/testkit/pod-network.ts';
import { until } from '#lib/testkit/until.ts';
import { type Background, background } from './run.ts';
import type { SteadyLine } from './steady.ts';

const PORT = '8080';
const KEPT = '4';
const START_MS = 120_000;

export class Traffic implements AsyncDisposable {
  readonly #server: Background;
  readonly #client: Background;

  private constructor(server: Background, client: Background) {
    this.#server = server;
    this.#client = client;
  }

  /** Flows when this resolves. */
  static async start(network: PodNetwork, from: TestPod, to: TestPod): Promise<Traffic> {
    const steady = (pod: TestPod, ...words: string[]): Background => {
      const inside = ['netns', 'exec', network.netnsName(pod), process.execPath];
      const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'steady.ts')];
      return background('ip', [...inside, ...program, ...words]);
    };
    const server = steady(to, 'server', to.ip, PORT);
    await until('the server', () => server.output().includes('up'), START_MS);
    const traffic = new Traffic(server, steady(from, 'client', to.ip, PORT, KEPT));
    await until('traffic', () => traffic.succeeded(0) > 3, START_MS);
    return traffic;
  }

  /** Connections made well since `at`, ms since the epoch. */
  succeeded(at: number): number {
    return this.#lines().filter((line) => line.kind === 'probe' && line.ok && line.at >= at).length;
  }

  /** What was cut, and what could not be opened. */
  trouble(): SteadyLine[] {
    return this.#lines().filter((line) => line.kind === 'cut' || (line.kind === 'probe' && !line.ok));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#server.stop('SIGKILL'), this.#client.stop('SIGKILL')]);
  }

  #lines(): SteadyLine[] {
    const lines = this.#client.output().split('\n');
    return lines.flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as SteadyLine] : []));
  }
}
