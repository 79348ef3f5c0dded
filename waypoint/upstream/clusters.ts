// SPDX-License-Identifier: Apache-2.0
// The clusters that requests have gone to. Services come and go, and clients dial ports that no service has: a cluster that leads nowhere
// is forgotten at the next look, and made again if it is asked for.

import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { Target } from '#lib/mesh/http/route-table.ts';
import { Cluster } from './cluster.ts';
import type { UpstreamRuntime } from './runtime.ts';

const SWEEP_MS = 5000;

export class Clusters implements TimerTarget {
  readonly #runtime: UpstreamRuntime;
  /** By the very object that routes refer to, for those that stay; by name for all. */
  readonly #byTarget = new WeakMap<Target, Cluster>();
  readonly #byName = new Map<string, Cluster>();

  constructor(runtime: UpstreamRuntime) {
    this.#runtime = runtime;
    runtime.loop.after(SWEEP_MS, this);
  }

  /** The cluster, as it stands now. */
  of(target: Target): Cluster {
    let cluster = this.#byTarget.get(target);
    if (cluster === undefined || cluster.forgotten) {
      const name = `${target.service}|${target.port}|${target.subset}`;
      cluster = this.#byName.get(name);
      if (cluster === undefined) {
        cluster = new Cluster(this.#runtime, target);
        this.#byName.set(name, cluster);
      }
      this.#byTarget.set(target, cluster);
    }
    cluster.refresh();
    return cluster;
  }

  list(): Iterable<Cluster> {
    return this.#byName.values();
  }

  onTimer(): void {
    this.#runtime.loop.after(SWEEP_MS, this);
    for (const [name, cluster] of this.#byName) {
      cluster.refresh();
      if (cluster.empty) {
        cluster.forget();
        this.#byName.delete(name);
      } else cluster.sweep(this.#runtime.loop.now);
    }
  }
}
