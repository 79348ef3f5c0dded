// SPDX-License-Identifier: Apache-2.0
//
// One host of a list that is alike in preference. A picker is made when the list or its weights change and asked for
// every request; only chance, turns and the load of hosts are in the asking.

import type { Random } from '../balance.ts';
import type { LoadBalancer } from '../http/traffic-policy.ts';
import { HashRing, type HashTable, MaglevTable } from './hash-table.ts';
import type { Host } from './host.ts';

export interface Picker {
  /** @param hash of the request's key, undefined when it has none; undefined comes back for an empty list */
  pick(hash: number | undefined, random: Random): Host | undefined;
}

export function makePicker(balancer: LoadBalancer, hosts: readonly Host[], weights: readonly number[]): Picker {
  switch (balancer.algorithm) {
    case 'random':
    case 'passthrough':
      return new RandomPicker(hosts, weights);
    case 'round-robin':
      return new RoundRobinPicker(hosts, weights);
    case 'least-request':
      return new LeastRequestPicker(hosts, weights);
    case 'ring-hash':
      return new HashPicker(hosts, weights, new HashRing(hosts, weights, balancer.ringSize));
    case 'maglev':
      return new HashPicker(hosts, weights, new MaglevTable(hosts, weights, balancer.tableSize));
  }
}

/** Draws by weight in the logarithm of the list's length. */
class WeightedDraw {
  readonly #hosts: readonly Host[];
  readonly #sums: Float64Array;
  readonly #equal: boolean;

  constructor(hosts: readonly Host[], weights: readonly number[]) {
    this.#hosts = hosts;
    this.#equal = weights.every((weight) => weight === weights[0]);
    let sum = 0;
    this.#sums = Float64Array.from(weights, (weight) => {
      sum += weight;
      return sum;
    });
  }

  draw(random: Random): Host | undefined {
    const { length } = this.#hosts;
    if (this.#equal) return this.#hosts[Math.min(length - 1, Math.floor(random() * length))];
    const ticket = random() * (this.#sums[length - 1] ?? 0);
    let low = 0;
    let high = length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sums[middle]! <= ticket) low = middle + 1;
      else high = middle;
    }
    return this.#hosts[low];
  }
}

class RandomPicker implements Picker {
  readonly #draw: WeightedDraw;

  constructor(hosts: readonly Host[], weights: readonly number[]) {
    this.#draw = new WeightedDraw(hosts, weights);
  }

  pick(_hash: number | undefined, random: Random): Host | undefined {
    return this.#draw.draw(random);
  }
}

/** Two are drawn by weight; the one with less to do for its weight takes the request. */
class LeastRequestPicker implements Picker {
  readonly #draw: WeightedDraw;
  readonly #weights = new Map<Host, number>();

  constructor(hosts: readonly Host[], weights: readonly number[]) {
    this.#draw = new WeightedDraw(hosts, weights);
    hosts.forEach((host, i) => {
      this.#weights.set(host, weights[i] ?? 1);
    });
  }

  pick(_hash: number | undefined, random: Random): Host | undefined {
    const first = this.#draw.draw(random);
    const second = this.#draw.draw(random);
    if (first === undefined || second === undefined || first === second) return first;
    return second.active * this.#weight(first) < first.active * this.#weight(second) ? second : first;
  }

  #weight(host: Host): number {
    return this.#weights.get(host) ?? 1;
  }
}

/** Smooth weighted turns: a host of weight 3 beside one of 1 takes three of four, and not three in a row. */
class RoundRobinPicker implements Picker {
  readonly #hosts: readonly Host[];
  readonly #weights: readonly number[];
  readonly #credit: Float64Array;
  readonly #equal: boolean;
  #next = -1;

  constructor(hosts: readonly Host[], weights: readonly number[]) {
    this.#hosts = hosts;
    this.#weights = weights;
    this.#credit = new Float64Array(hosts.length);
    this.#equal = weights.every((weight) => weight === weights[0]);
  }

  pick(_hash: number | undefined, random: Random): Host | undefined {
    const { length } = this.#hosts;
    if (length === 0) return undefined;
    if (this.#equal) {
      // Processes that start together begin at different places.
      this.#next = this.#next < 0 ? Math.min(length - 1, Math.floor(random() * length)) : (this.#next + 1) % length;
      return this.#hosts[this.#next];
    }
    let best = 0;
    let total = 0;
    for (let i = 0; i < length; i++) {
      const weight = this.#weights[i]!;
      total += weight;
      this.#credit[i]! += weight;
      if (this.#credit[i]! > this.#credit[best]!) best = i;
    }
    this.#credit[best]! -= total;
    return this.#hosts[best];
  }
}

/** By key; a request without one goes anywhere. */
class HashPicker implements Picker {
  readonly #table: HashTable;
  readonly #draw: WeightedDraw;

  constructor(hosts: readonly Host[], weights: readonly number[], table: HashTable) {
    this.#table = table;
    this.#draw = new WeightedDraw(hosts, weights);
  }

  pick(hash: number | undefined, random: Random): Host | undefined {
    return hash === undefined ? this.#draw.draw(random) : this.#table.find(hash);
  }
}
