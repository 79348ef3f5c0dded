// SPDX-License-Identifier: Apache-2.0
// The last known state of a collection, and what each listing or watch event changes in it. Pure: the informer feeds it.

import { type KubeObject, objectKey } from './object.ts';

/** One difference between the state before and after. `old` is absent when the object is new to us. */
export type Change<T extends KubeObject> =
  | { readonly op: 'set'; readonly key: string; readonly object: T; readonly old?: T }
  | { readonly op: 'delete'; readonly key: string; readonly old: T };

export class ObjectStore<T extends KubeObject> {
  readonly #objects = new Map<string, T>();

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Every object as a change, for a listener that comes late. */
  asChanges(): Change<T>[] {
    return [...this.#objects].map(([key, object]) => ({ op: 'set', key, object }));
  }

  /** Takes a complete listing; objects that it lacks are deleted, unchanged versions give no change. */
  replace(items: readonly T[]): Change<T>[] {
    const changes: Change<T>[] = [];
    const seen = new Set<string>();
    for (const object of items) {
      seen.add(objectKey(object));
      const change = this.set(object);
      if (change !== undefined) changes.push(change);
    }
    for (const [key, old] of this.#objects) {
      if (seen.has(key)) continue;
      this.#objects.delete(key);
      changes.push({ op: 'delete', key, old });
    }
    return changes;
  }

  /** Undefined when this very version is known. */
  set(object: T): Change<T> | undefined {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old !== undefined && sameVersion(old, object)) return undefined;
    this.#objects.set(key, object);
    return old === undefined ? { op: 'set', key, object } : { op: 'set', key, object, old };
  }

  delete(object: KubeObject): Change<T> | undefined {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old === undefined) return undefined;
    this.#objects.delete(key);
    return { op: 'delete', key, old };
  }
}

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  const version = a.metadata.resourceVersion;
  return version !== undefined && version === b.metadata.resourceVersion && a.metadata.uid === b.metadata.uid;
}
