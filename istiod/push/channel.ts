// SPDX-License-Identifier: Apache-2.0
// Changes of one type on their way to the clients: gathered by name until the next push, so that only the newest state
// of each is encoded, once for all clients. A type may be scoped: then each client sees the resources of its own scope
// (a waypoint those of its gateway), and a change in one scope costs the clients of another nothing.

import { makeEntry, type ResourceEntry } from '#lib/xds/resource.ts';
import { ResourceLog } from '#lib/xds/resource-log.ts';
import type { Peer, ResourceSource, ResourceView } from '#lib/xds/server-stream.ts';

/** The scope of types that are the same for everybody. */
const EVERYBODY = '';

/** A resource as the model gives it. */
export interface Resource {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly version: string;
}

export interface ChannelOptions {
  readonly typeUrl: string;
  /** What `pilot_push_triggers` counts a push of this type as. */
  readonly trigger: string;
  /** The scope a client belongs to, from its node and its proven identity; undefined when it may have nothing of the
   * type. The default is one scope for everybody. */
  readonly scopeOf?: (peer: Peer) => string | undefined;
  /** Other names a resource may be asked for by. */
  readonly aliases?: (name: string) => readonly string[];
  /** What keys mean for clients that ask on demand; the default is the resource of that name. */
  readonly lookup?: Pick<ResourceView, 'resolve' | 'keysOf'> & { readonly always?: (peer: Peer) => readonly string[] };
}

export class Channel implements ResourceSource {
  readonly typeUrl: string;
  readonly trigger: string;
  readonly #options: ChannelOptions;
  readonly #onChange: () => void;
  readonly #logs = new Map<string, ResourceLog>();
  readonly #pending = new Map<string, Map<string, Resource | undefined>>();

  constructor(options: ChannelOptions, onChange: () => void) {
    this.typeUrl = options.typeUrl;
    this.trigger = options.trigger;
    this.#options = options;
    this.#onChange = onChange;
  }

  /** Resources known, in all scopes together. */
  get size(): number {
    let sum = 0;
    for (const { size } of this.#logs.values()) sum += size;
    return sum;
  }

  set(resource: Resource, scope: string = EVERYBODY): void {
    this.#pendingIn(scope).set(resource.name, resource);
    this.#onChange();
  }

  remove(name: string, scope: string = EVERYBODY): void {
    this.#pendingIn(scope).set(name, undefined);
    this.#onChange();
  }

  /** Takes what has gathered into the logs as one step; false when nothing differs from what clients know. */
  flush(): boolean {
    let changed = false;
    for (const [scope, pending] of this.#pending) {
      const log = this.log(scope);
      const set: ResourceEntry[] = [];
      const removed: string[] = [];
      for (const [name, resource] of pending) {
        if (resource === undefined) removed.push(name);
        else if (log.get(name)?.version !== resource.version) set.push(this.#entry(resource));
      }
      if (log.update(set, removed)) changed = true;
    }
    this.#pending.clear();
    return changed;
  }

  /** What the clients of a scope see. */
  log(scope: string = EVERYBODY): ResourceLog {
    let log = this.#logs.get(scope);
    if (log === undefined) {
      log = new ResourceLog();
      this.#logs.set(scope, log);
    }
    return log;
  }

  view(peer: Peer): ResourceView | undefined {
    const { lookup, scopeOf } = this.#options;
    const scope = scopeOf === undefined ? EVERYBODY : scopeOf(peer);
    if (scope === undefined) return undefined;
    const log = this.log(scope);
    if (lookup === undefined) return { log, resolve: (name) => (log.get(name) === undefined ? [] : [name]) };
    const { always, ...named } = lookup;
    return always === undefined ? { log, ...named } : { log, ...named, always: () => always(peer) };
  }

  #pendingIn(scope: string): Map<string, Resource | undefined> {
    let pending = this.#pending.get(scope);
    if (pending === undefined) {
      pending = new Map();
      this.#pending.set(scope, pending);
    }
    return pending;
  }

  #entry({ bytes, name, version }: Resource): ResourceEntry {
    const aliases = this.#options.aliases?.(name) ?? [];
    return makeEntry({ typeUrl: this.typeUrl, name, value: bytes, version, aliases });
  }
}
