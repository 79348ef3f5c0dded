// SPDX-License-Identifier: Apache-2.0
//
// Consistent hashing: the same key finds the same host as long as the host is there, and most keys keep theirs when
// hosts come and go. A ring of points (Karger et al. 1997), or Maglev's table (Eisenbud et al. 2016), which is evener
// and quicker to ask and slower to make.

import { hash32 } from './hash.ts';
import type { Host } from './host.ts';

/** Where a key's host is found. Hosts weigh as given; none: nothing is found. */
export interface HashTable {
  find(hash: number): Host | undefined;
}

const MOST_POINTS = 1 << 20;

export class HashRing implements HashTable {
  readonly #points: Uint32Array;
  readonly #hosts: readonly Host[];

  /** @param size least number of points of all hosts together */
  constructor(hosts: readonly Host[], weights: readonly number[], size: number) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const points: { at: number; host: Host }[] = [];
    const scale = Math.min(Math.max(size, hosts.length), MOST_POINTS) / Math.max(total, 1e-9);
    hosts.forEach((host, i) => {
      const count = Math.max(1, Math.ceil((weights[i] ?? 0) * scale));
      for (let p = 0; p < count; p++) points.push({ at: hash32(`${host.uid}_${p}`), host });
    });
    points.sort((a, b) => a.at - b.at || (a.host.uid < b.host.uid ? -1 : 1));
    this.#points = Uint32Array.from(points, ({ at }) => at);
    this.#hosts = points.map(({ host }) => host);
  }

  find(hash: number): Host | undefined {
    const points = this.#points;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    return this.#hosts[low === points.length ? 0 : low];
  }
}

export class MaglevTable implements HashTable {
  readonly #table: Int32Array;
  readonly #hosts: readonly Host[];

  /** @param size a prime */
  constructor(hosts: readonly Host[], weights: readonly number[], size: number) {
    this.#hosts = hosts;
    this.#table = new Int32Array(hosts.length === 0 ? 0 : size).fill(-1);
    const heaviest = Math.max(...weights, 1e-9);
    const at = hosts.map(({ uid }) => hash32(uid) % size);
    const skip = hosts.map(({ uid }) => (hash32(uid, 0x9747b28c) % (size - 1)) + 1);
    // Each round the heaviest host takes one slot and others the part of one they weigh.
    const credit = hosts.map(() => 0);
    for (let filled = 0; filled < this.#table.length; ) {
      for (let i = 0; i < hosts.length && filled < this.#table.length; i++) {
        credit[i]! += (weights[i] ?? 0) / heaviest;
        if (credit[i]! < 1 - 1e-9) continue;
        credit[i]! -= 1;
        while (this.#table[at[i]!] !== -1) at[i] = (at[i]! + skip[i]!) % size;
        this.#table[at[i]!] = i;
        filled++;
      }
    }
  }

  find(hash: number): Host | undefined {
    return this.#table.length === 0 ? undefined : this.#hosts[this.#table[hash % this.#table.length]!];
  }
}
