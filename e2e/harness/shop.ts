// SPDX-License-Identifier: Apache-2.0
// The sample shop on a cluster: deployed, and its shopper asked how the traffic fares.
import type { Cluster, PodFacts } from './cluster.ts';
import { eventually } from './eventually.ts';

const KINDS = ['short', 'keepalive', 'grpc', 'tcp'] as const;

interface Tally {
  readonly ok: number;
  readonly failed: number;
  readonly opened: number;
  readonly broken: number;
}

interface Report {
  readonly tallies: Record<(typeof KINDS)[number], Tally>;
  readonly failures: readonly string[];
}

export interface Disturbance {
  readonly succeeded: number;
  readonly failed: number;
  readonly broken: number;
  /** What failed, a line for each kind of traffic. */
  readonly trouble: readonly string[];
  /** The first failures, in the shopper's words. */
  readonly failures: readonly string[];
}

export class Shop {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Deploys the shop and a client outside it; ready when each kind of traffic flows. */
  async open(): Promise<readonly PodFacts[]> {
    await Promise.all([
      this.#cluster.apply('manifests/samples/shop.yaml'),
      this.#cluster.apply('manifests/samples/outsider.yaml'),
    ]);
    const [pods] = await Promise.all([this.#cluster.ready('shop', 5), this.#cluster.ready('outside')]);
    await this.busy(10);
    return pods;
  }

  async report(): Promise<Report> {
    return await this.#ask('GET', '/stats');
  }

  /** Ends the long-lived connections in good order, and waits until new ones are in use. */
  async reconnect(): Promise<void> {
    const before = await this.report();
    await this.#ask('POST', '/reconnect');
    await eventually('the shopper to open new connections', async () => {
      const now = await this.report();
      const renewed = (['keepalive', 'grpc', 'tcp'] as const).every(
        (kind) => now.tallies[kind].opened >= before.tallies[kind].opened + (kind === 'keepalive' ? 2 : 1),
      );
      return renewed;
    });
  }

  /** Waits until each kind of traffic has succeeded `times` more. */
  async busy(times: number): Promise<void> {
    const before = await this.report();
    await eventually(`${times} more successes of each kind of traffic`, async () => {
      const now = await this.report();
      return KINDS.every((kind) => now.tallies[kind].ok >= before.tallies[kind].ok + times);
    });
  }

  /** Does something while the shopper is busy. Gives how many requests succeeded meanwhile; throws when one failed or a connection broke. */
  async undisturbed(during: () => Promise<void>): Promise<number> {
    const { succeeded, trouble, failures } = await this.disturbance(during);
    if (trouble.length > 0) throw new Error(`${trouble.join('; ')}\n${failures.slice(0, 5).join('\n')}`);
    return succeeded;
  }

  /** Does something while the shopper is busy, and gives how the traffic fared meanwhile. */
  async disturbance(during: () => Promise<void>): Promise<Disturbance> {
    const before = await this.report();
    await during();
    const after = await this.report();
    const changes = KINDS.map((kind) => ({
      kind,
      ok: after.tallies[kind].ok - before.tallies[kind].ok,
      failed: after.tallies[kind].failed - before.tallies[kind].failed,
      broken: after.tallies[kind].broken - before.tallies[kind].broken,
    }));
    const sum = (field: 'ok' | 'failed' | 'broken'): number => changes.reduce((all, change) => all + change[field], 0);
    return {
      ...{ succeeded: sum('ok'), failed: sum('failed'), broken: sum('broken') },
      trouble: changes
        .filter(({ failed, broken }) => failed + broken > 0)
        .map(({ kind, failed, broken }) => `${kind}: ${failed} failed, ${broken} broken`),
      failures: after.failures.slice(before.failures.length),
    };
  }

  async #ask(method: string, path: string): Promise<Report> {
    const { status, stdout, stderr } = await this.#cluster.exec(
      'shop',
      'deploy/shopper',
      'curl',
      '-s',
      '-m',
      '20',
      '-X',
      method,
      `http://localhost:8081${path}`,
    );
    if (status !== 0) throw new Error(`the shopper does not answer: ${stderr}`);
    return JSON.parse(stdout) as Report;
  }
}
