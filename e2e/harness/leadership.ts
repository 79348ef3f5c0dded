// SPDX-License-Identifier: Apache-2.0
// Who of two replicas leads, as the lease says by which they agree.
import { until } from '#lib/testkit/until.ts';
import type { ClusterObjects } from './cluster-objects.ts';
import type { Replica } from './replica.ts';

export class Leadership {
  readonly #objects: ClusterObjects;
  readonly #lease: string;
  readonly #patienceMs: number;

  constructor(objects: ClusterObjects, lease: string, patienceMs: number) {
    this.#objects = objects;
    this.#lease = lease;
    this.#patienceMs = patienceMs;
  }

  /** Who holds the lease, and the other one. */
  async roles(replicas: readonly Replica[]): Promise<{ readonly leader: Replica; readonly other: Replica }> {
    const held = async (): Promise<Replica | undefined> => {
      const { holder } = await this.#objects.lease(this.#lease);
      return replicas.find(({ name }) => name === holder);
    };
    const leader = await until('a leader', held);
    return { leader, other: replicas.find((replica) => replica !== leader)! };
  }

  /** Resolves when somebody else than `former` leads. */
  async succeeded(former: Replica): Promise<void> {
    const held = async (): Promise<boolean> =>
      !['', former.name].includes((await this.#objects.lease(this.#lease)).holder);
    await until('another leader', held, this.#patienceMs);
  }

  /** Resolves when the leader has renewed its lease `times` more: a second each. */
  async renewals(times: number): Promise<void> {
    for (let k = 0; k < times; k++) {
      const { renewed } = await this.#objects.lease(this.#lease);
      const again = async (): Promise<boolean> => (await this.#objects.lease(this.#lease)).renewed !== renewed;
      await until('the lease', again, this.#patienceMs);
    }
  }
}
