// SPDX-License-Identifier: Apache-2.0
// What changes while a waypoint is soaked: shares of the route, a policy, and pods of the service, one thing after another.
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../harness/cluster.ts';
import { NAMESPACE, policy, routes } from './objects.ts';

/** One pod change in so many changes: a pod takes seconds to come. */
const PODS_EVERY = 8;
const POLICIES = 5;

export class Changes {
  readonly made = { 'of routes': 0, 'of policies': 0, 'of pods': 0 };
  readonly #cluster: Cluster;
  #turn = 0;
  #stopped = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A change every `everyMs`, until `stop`; called again, goes on. */
  async run(everyMs: number): Promise<void> {
    this.#stopped = false;
    let due = performance.now();
    while (!this.#stopped) {
      await this.#change(this.#turn++);
      due += everyMs;
      await delay(Math.max(0, due - performance.now()));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #change(turn: number): Promise<void> {
    if (turn % PODS_EVERY === 0) {
      await this.#changePods(turn / PODS_EVERY);
      this.made['of pods']++;
    } else if (turn % 2 === 0) {
      await applyAll(this.#cluster, routes((turn * 7) % 101));
      this.made['of routes']++;
    } else {
      await applyAll(this.#cluster, [policy(String(turn % POLICIES), turn)]);
      this.made['of policies']++;
    }
  }

  /** In turn: a version gets a third pod, loses it, and one of its two is deleted and replaced. */
  async #changePods(round: number): Promise<void> {
    const version = `v${1 + (Math.floor(round / 3) % 2)}`;
    const deployment = `changing-${version}`;
    if (round % 3 < 2) {
      await this.#cluster.kubectl('scale', '-n', NAMESPACE, 'deployment', deployment, `--replicas=${3 - (round % 3)}`);
      return;
    }
    const pods = await this.#cluster.pods(NAMESPACE, `app=changing,version=${version}`);
    const [one] = pods.filter(({ ready }) => ready);
    // The other one has to be there.
    if (one !== undefined && pods.length > 1)
      await this.#cluster.kubectl('delete', 'pod', '-n', NAMESPACE, one.name, '--wait=false');
  }
}

/** Applies all of them in one go. */
export async function applyAll(cluster: Cluster, objects: readonly object[]): Promise<void> {
  await cluster.apply(objects.map((object) => `${JSON.stringify(object)}\n`).join('---\n'));
}
