// SPDX-License-Identifier: Apache-2.0
// The objects of a mesh without Kubernetes: those of files, which only their files change, and those that istiod wrote
// itself (its root, registered machines, what it has to say about the files' objects). What it wrote outlives it.

import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { GenericObject } from '#lib/kube/object.ts';
import { ObjectTable, type Stored } from './table.ts';

/** A file's object with the collection it belongs to. */
export interface FileObject {
  /** `group/plural`. */
  readonly collection: string;
  /** `namespace/name`, or `name`. */
  readonly key: string;
  readonly object: GenericObject;
}

/** What outlives the process: objects written, and statuses of files' objects, by `collection key`. */
export interface Written {
  readonly objects: Readonly<Record<string, GenericObject>>;
  readonly statuses: Readonly<Record<string, NonNullable<GenericObject['status']>>>;
}

/** Written anew at every start; no use to anybody later. */
const FLEETING: ReadonlySet<string> = new Set(['coordination.k8s.io/leases', '/events', 'events.k8s.io/events']);

function placeOf(collection: string, key: string): string {
  return `${collection} ${key}`;
}

export class ObjectSet {
  readonly table = new ObjectTable();
  readonly #fromFiles = new Set<string>();
  readonly #written = new Set<string>();
  readonly #statuses = new Map<string, NonNullable<GenericObject['status']>>();
  readonly #onWrite: () => void;

  /** @param onWrite called when what {@link written} gives has changed */
  constructor(written: Written, onWrite: () => void) {
    this.#onWrite = onWrite;
    for (const [place, status] of Object.entries(written.statuses)) this.#statuses.set(place, status);
    for (const [place, object] of Object.entries(written.objects)) {
      const space = place.indexOf(' ');
      this.#written.add(place);
      this.table.put(place.slice(0, space), place.slice(space + 1), object);
    }
  }

  /** Makes the files' objects exactly these. */
  setFiles(objects: readonly FileObject[]): void {
    const seen = new Set<string>();
    for (const { collection, key, object } of objects) {
      const place = placeOf(collection, key);
      seen.add(place);
      this.#fromFiles.add(place);
      this.#written.delete(place);
      const before = this.table.get(collection, key);
      const next = dressed(object, before, placeOf(collection, key), this.#statuses.get(place));
      if (before === undefined || !isDeepStrictEqual(bare(before), bare(next))) this.table.put(collection, key, next);
    }
    for (const place of this.#fromFiles) {
      if (seen.has(place)) continue;
      const space = place.indexOf(' ');
      this.#fromFiles.delete(place);
      this.#statuses.delete(place);
      this.table.remove(place.slice(0, space), place.slice(space + 1));
    }
  }

  /** Whether only a file changes it. */
  isFromFile(collection: string, key: string): boolean {
    return this.#fromFiles.has(placeOf(collection, key));
  }

  /** Stores an object of istiod's own. */
  write(collection: string, key: string, object: GenericObject): Stored {
    const place = placeOf(collection, key);
    const before = this.table.get(collection, key);
    const { creationTimestamp, uid } = before?.metadata ?? {};
    const metadata = {
      ...object.metadata,
      uid: uid ?? object.metadata.uid ?? randomUUID(),
      creationTimestamp: creationTimestamp ?? object.metadata.creationTimestamp ?? new Date().toISOString(),
    };
    const stored = this.table.put(collection, key, { ...object, metadata });
    this.#written.add(place);
    if (!FLEETING.has(collection)) this.#onWrite();
    return stored;
  }

  /** Stores the status of a file's object, or of one of istiod's own. */
  writeStatus(collection: string, key: string, status: NonNullable<GenericObject['status']>): Stored | undefined {
    const before = this.table.get(collection, key);
    if (before === undefined) return undefined;
    if (!this.isFromFile(collection, key)) return this.write(collection, key, { ...before, status });
    this.#statuses.set(placeOf(collection, key), status);
    this.#onWrite();
    return this.table.put(collection, key, { ...before, status });
  }

  remove(collection: string, key: string): Stored | undefined {
    this.#written.delete(placeOf(collection, key));
    const removed = this.table.remove(collection, key);
    if (!FLEETING.has(collection)) this.#onWrite();
    return removed;
  }

  get written(): Written {
    const objects: Record<string, GenericObject> = {};
    for (const [collection, kept] of this.table.all()) {
      if (FLEETING.has(collection)) continue;
      for (const [key, object] of kept) {
        if (this.#written.has(placeOf(collection, key))) objects[placeOf(collection, key)] = object;
      }
    }
    return { objects, statuses: Object.fromEntries(this.#statuses) };
  }
}

/** A file's object with what an API server would have given it. The same file gives the same uid at every start. */
function dressed(
  object: GenericObject,
  before: Stored | undefined,
  place: string,
  status: GenericObject['status'],
): GenericObject {
  const { generation = 0 } = before?.metadata ?? {};
  const changed = before === undefined || !isDeepStrictEqual(before.spec, object.spec);
  const told = status ?? object.status;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      uid: object.metadata.uid ?? uidOf(place),
      generation: changed ? generation + 1 : generation,
    },
    ...(told !== undefined && { status: told }),
  };
}

function bare({ metadata, ...rest }: GenericObject): unknown {
  const { resourceVersion: _, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

/** A name-based UUID. */
function uidOf(place: string): string {
  const hex = createHash('sha256').update(place).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
