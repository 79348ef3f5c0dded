// SPDX-License-Identifier: Apache-2.0
// Objects with versions and a bounded history of their changes: what a watch needs. In memory; knows nothing of where
// they come from.

import type { GenericObject } from '#lib/kube/object.ts';

/** An object in the table: `uid` and `resourceVersion` are always there. */
export type Stored = GenericObject & Readonly<Record<string, unknown>>;

export interface TableEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** `group/plural`. */
  readonly collection: string;
  readonly object: Stored;
}

/** Changes a watch may be behind before it must list again. */
const HISTORY = 10_000;

export class ObjectTable {
  readonly #objects = new Map<string, Map<string, Stored>>();
  readonly #history: TableEvent[] = [];
  readonly #listeners = new Set<(event: TableEvent) => void>();
  #version = 1;

  get version(): number {
    return this.#version;
  }

  get(collection: string, key: string): Stored | undefined {
    return this.#objects.get(collection)?.get(key);
  }

  list(collection: string): Stored[] {
    return [...(this.#objects.get(collection)?.values() ?? [])];
  }

  /** Every collection's name with its objects. */
  all(): Iterable<[string, ReadonlyMap<string, Stored>]> {
    return this.#objects;
  }

  put(collection: string, key: string, object: GenericObject): Stored {
    const before = this.get(collection, key);
    this.#version++;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const stored: Stored = { ...object, metadata };
    const kept = this.#objects.get(collection) ?? new Map<string, Stored>();
    this.#objects.set(collection, kept.set(key, stored));
    this.#tell({
      version: this.#version,
      type: before === undefined ? 'ADDED' : 'MODIFIED',
      collection,
      object: stored,
    });
    return stored;
  }

  remove(collection: string, key: string): Stored | undefined {
    const before = this.get(collection, key);
    if (before === undefined) return undefined;
    this.#objects.get(collection)?.delete(key);
    this.#version++;
    const metadata = { ...before.metadata, resourceVersion: String(this.#version) };
    this.#tell({ version: this.#version, type: 'DELETED', collection, object: { ...before, metadata } });
    return before;
  }

  /** Changes of a collection after `version`; undefined when some of them are forgotten. */
  since(collection: string, version: number): TableEvent[] | undefined {
    const oldest = this.#history[0];
    if (oldest !== undefined && this.#history.length >= HISTORY && oldest.version > version + 1) return undefined;
    return this.#history.filter((event) => event.version > version && event.collection === collection);
  }

  /** Returns the way to stop. */
  subscribe(listener: (event: TableEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(event: TableEvent): void {
    this.#history.push(event);
    if (this.#history.length > HISTORY) this.#history.shift();
    for (const listener of this.#listeners) listener(event);
  }
}
