// SPDX-License-Identifier: Apache-2.0
// The resources of one type and the order in which they last changed. A client is one number, the generation it has
// seen: what it lacks is whatever changed after it, in its newest state. So a slow client costs no queue, and ten
// thousand clients cost no copy of the names.

import type { ResourceEntry } from './resource.ts';

/** How many removals are remembered. A client further behind must reconnect and say what it has. */
const DEFAULT_MAX_TOMBSTONES = 50_000;

export interface Difference {
  readonly changed: readonly ResourceEntry[];
  readonly removed: readonly string[];
}

interface Step {
  readonly generation: number;
  readonly name: string;
}

export class ResourceLog {
  readonly #maxTombstones: number;
  readonly #entries = new Map<string, ResourceEntry>();
  /** When each name, present or removed, last changed. */
  readonly #changedAt = new Map<string, number>();
  /** In order of generation; a step counts only if it is its name's last. */
  #steps: Step[] = [];
  #generation = 0;
  #floor = 0;

  constructor(maxTombstones: number = DEFAULT_MAX_TOMBSTONES) {
    this.#maxTombstones = maxTombstones;
  }

  /** Grows with every update that changed something. */
  get generation(): number {
    return this.#generation;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): ResourceEntry | undefined {
    return this.#entries.get(name);
  }

  entries(): IterableIterator<ResourceEntry> {
    return this.#entries.values();
  }

  /** Takes a set of changes as one step; false when nothing differed. */
  update(set: Iterable<ResourceEntry>, removed: Iterable<string>): boolean {
    const next = this.#generation + 1;
    let changed = false;
    const touch = (name: string) => {
      changed = true;
      this.#changedAt.set(name, next);
      this.#steps.push({ generation: next, name });
    };
    for (const name of removed) {
      if (this.#entries.delete(name)) touch(name);
    }
    for (const entry of set) {
      if (this.#entries.get(entry.name)?.version === entry.version) continue;
      this.#entries.set(entry.name, entry);
      touch(entry.name);
    }
    if (!changed) return false;
    this.#generation = next;
    this.#compact();
    return true;
  }

  /** What a client that has seen `generation` lacks; undefined when removals since then are forgotten. */
  since(generation: number): Difference | undefined {
    if (generation < this.#floor) return undefined;
    const changed: ResourceEntry[] = [];
    const removed: string[] = [];
    for (let i = this.#firstAfter(generation); i < this.#steps.length; i++) {
      const step = this.#steps[i]!;
      if (this.#changedAt.get(step.name) !== step.generation) continue;
      const entry = this.#entries.get(step.name);
      if (entry === undefined) removed.push(step.name);
      else changed.push(entry);
    }
    return { changed, removed };
  }

  #firstAfter(generation: number): number {
    let low = 0;
    let high = this.#steps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#steps[middle]!.generation > generation) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Drops steps that no longer count, and the oldest removals beyond the limit. */
  #compact(): void {
    if (this.#steps.length <= 2 * this.#changedAt.size + 64 && this.#tombstones() <= this.#maxTombstones) return;
    let surplus = this.#tombstones() - this.#maxTombstones / 2;
    if (this.#tombstones() <= this.#maxTombstones) surplus = 0;
    this.#steps = this.#steps.filter(({ generation, name }) => {
      if (this.#changedAt.get(name) !== generation) return false;
      if (surplus <= 0 || this.#entries.has(name)) return true;
      surplus--;
      this.#changedAt.delete(name);
      this.#floor = generation;
      return false;
    });
  }

  #tombstones(): number {
    return this.#changedAt.size - this.#entries.size;
  }
}
