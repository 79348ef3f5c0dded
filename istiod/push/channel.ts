// SPDX-License-Identifier: Apache-2.0
// Changes of one type on their way to the clients: gathered by name until the next push, so that only the newest state
// of each is encoded for the wire.

import { makeEntry, type ResourceEntry } from '#lib/xds/resource.ts';
import { ResourceLog } from '#lib/xds/resource-log.ts';

/** A resource as the model gives it. */
export interface Resource {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly version: string;
}

export class Channel {
  readonly typeUrl: string;
  readonly log = new ResourceLog();
  readonly #pending = new Map<string, Resource | undefined>();
  readonly #onChange: () => void;
  readonly #aliases: (name: string) => readonly string[];

  /** `aliases` gives the other names a resource may be asked for by. */
  constructor(typeUrl: string, onChange: () => void, aliases: (name: string) => readonly string[] = () => []) {
    this.typeUrl = typeUrl;
    this.#onChange = onChange;
    this.#aliases = aliases;
  }

  set(resource: Resource): void {
    this.#pending.set(resource.name, resource);
    this.#onChange();
  }

  remove(name: string): void {
    this.#pending.set(name, undefined);
    this.#onChange();
  }

  /** Takes what has gathered into the log as one step; false when nothing differs from what clients know. */
  flush(): boolean {
    if (this.#pending.size === 0) return false;
    const set: ResourceEntry[] = [];
    const removed: string[] = [];
    for (const [name, resource] of this.#pending) {
      if (resource === undefined) removed.push(name);
      else if (this.log.get(name)?.version !== resource.version) set.push(this.#entry(resource));
    }
    this.#pending.clear();
    return this.log.update(set, removed);
  }

  #entry({ bytes, name, version }: Resource): ResourceEntry {
    return makeEntry({ typeUrl: this.typeUrl, name, value: bytes, version, aliases: this.#aliases(name) });
  }
}
