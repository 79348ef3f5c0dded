// SPDX-License-Identifier: Apache-2.0
// Garbage collection: an object whose owners are all gone goes too; foreground deletion waits for dependants, orphaning
// cuts them loose. Watches every resource the server has, by metadata only, and new ones as CRDs come.
// Source: Kubernetes documentation, "Garbage Collection".
import { createLogger } from '#lib/kit/log.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { isObject, type JsonObject, type KubeObject, listAt } from '../api/json.ts';
import { keyOf, type ObjectCache } from './cache.ts';
import { type AnyKind, apiVersion } from './kinds.ts';
import { discoverKinds } from './resources.ts';
import type { Controller, World } from './world.ts';

/** Written every few seconds and never owned by anything that matters here. */
const SKIPPED = new Set(['events', 'leases', 'endpoints']);
const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';
/** New CRDs come in bunches. */
const SETTLE_MS = 200;

interface Watched {
  readonly kind: AnyKind;
  readonly cache: ObjectCache;
  /** Not shared with other controllers: ours to stop. */
  readonly own: boolean;
}

const metadataOnly = (object: GenericObject): GenericObject => {
  const {
    managedFields: _fields,
    annotations: _annotations,
    ...metadata
  } = object.metadata as GenericObject['metadata'] & { managedFields?: unknown };
  return { metadata };
};
const owners = (object: KubeObject): JsonObject[] => listAt(object, 'metadata', 'ownerReferences').filter(isObject);

export function garbageController(world: World): Controller {
  const watched = new Map<string, Watched>();
  /** Everything known by uid, and dependants by their owner's uid. */
  const known = new Set<string>();
  const dependants = new Map<string, Set<string>>();
  const queue = world.queue('garbage', reconcile);
  // The shared caches tell already when the server is away; thirty more voices would not help.
  const quiet = createLogger({ scope: 'garbage', level: 'off' });
  let cancelRefresh = (): void => undefined;
  const refreshSoon = (): void => {
    cancelRefresh();
    cancelRefresh = world.parts.clock.after(SETTLE_MS, () => void refresh().catch(() => refreshSoon()));
  };
  world.crds.listen(refreshSoon);
  refreshSoon();

  async function refresh(): Promise<void> {
    const kinds = await discoverKinds(world.parts.client, ['list', 'watch', 'delete']);
    const current = new Set(kinds.map(idOf));
    for (const [id, { cache, own }] of watched)
      if (!current.has(id)) {
        if (own) cache.stop();
        watched.delete(id);
      }
    for (const kind of kinds) if (!SKIPPED.has(kind.plural) && !watched.has(idOf(kind))) follow(kind);
  }

  function follow(kind: AnyKind): void {
    const shared = world.shared(kind);
    const cache = shared ?? world.informer(kind, undefined, metadataOnly, quiet);
    watched.set(idOf(kind), { kind, cache, own: !shared });
    cache.listen((object, _old, gone) => {
      const { uid = '' } = object.metadata;
      const id = `${idOf(kind)} ${keyOf(object)}`;
      if (gone) {
        known.delete(uid);
        for (const dependant of dependants.get(uid) ?? []) queue.add(dependant);
        for (const owner of owners(object)) {
          dependants.get(String(owner['uid']))?.delete(id);
          wakeOwner(owner, object);
        }
        return;
      }
      known.add(uid);
      for (const owner of owners(object)) {
        const set = dependants.get(String(owner['uid'])) ?? new Set();
        dependants.set(String(owner['uid']), set.add(id));
      }
      if (owners(object).length > 0 || object.metadata.deletionTimestamp) queue.add(id);
    });
    if (!shared) cache.start();
  }

  /** An owner that waits for its dependants looks again when one is gone. */
  function wakeOwner(owner: JsonObject, dependant: KubeObject): void {
    const found = kindOfOwner(owner);
    if (!found) return;
    const key = found.kind.namespaced
      ? `${dependant.metadata.namespace}/${String(owner['name'])}`
      : String(owner['name']);
    if (found.cache.get(key)?.metadata.deletionTimestamp) queue.add(`${idOf(found.kind)} ${key}`);
  }

  const kindOfOwner = (owner: JsonObject): Watched | undefined => {
    const group = String(owner['apiVersion']).includes('/') ? String(owner['apiVersion']).split('/')[0] : '';
    return [...watched.values()].find(({ kind }) => kind.kind === owner['kind'] && kind.group === group);
  };

  async function reconcile(id: string): Promise<void> {
    const [kindId, key] = id.split(' ') as [string, string];
    const { kind, cache } = watched.get(kindId) ?? {};
    const object = cache?.get(key);
    if (!kind || !cache || !object) return;
    if (object.metadata.deletionTimestamp) return finish(kind, cache, object);
    if (owners(object).length === 0) return;
    for (const owner of owners(object)) if (await lives(owner, object)) return;
    await cache.delete(object);
  }

  /** Whether the owner exists; the cache may lag, so absence is asked for. */
  async function lives(owner: JsonObject, object: KubeObject): Promise<boolean> {
    const uid = String(owner['uid']);
    if (known.has(uid)) {
      const found = kindOfOwner(owner);
      const key = found?.kind.namespaced
        ? `${object.metadata.namespace}/${String(owner['name'])}`
        : String(owner['name']);
      const cached = found?.cache.get(key);
      // A foreground deletion takes those along whose owner waits for them.
      return !(cached?.metadata.deletionTimestamp && cached.metadata.finalizers?.includes(FOREGROUND));
    }
    const found = kindOfOwner(owner);
    // A kind we do not watch (yet) may well have it.
    if (!found) return true;
    const address = {
      name: String(owner['name']),
      ...(found.kind.namespaced ? { namespace: object.metadata.namespace } : {}),
    };
    const live = await world.parts.client.get(found.kind, address);
    return live?.metadata.uid === uid;
  }

  async function finish(kind: AnyKind, cache: ObjectCache, object: KubeObject): Promise<void> {
    const { finalizers = [], uid = '' } = object.metadata;
    const rest = [...(dependants.get(uid) ?? [])];
    if (finalizers.includes(ORPHAN)) {
      for (const id of rest) await release(id, uid);
      await dropFinalizer(cache, object, ORPHAN);
    } else if (finalizers.includes(FOREGROUND)) {
      for (const id of rest) queue.add(id);
      if (rest.length === 0) await dropFinalizer(cache, object, FOREGROUND);
    }
    world.parts.log.debug('deletion continues', {
      kind: apiVersion(kind),
      object: keyOf(object),
      dependants: rest.length,
    });
  }

  async function release(id: string, ownerUid: string): Promise<void> {
    const [kindId, key] = id.split(' ') as [string, string];
    const cache = watched.get(kindId)?.cache;
    const object = cache?.get(key);
    if (!cache || !object) return;
    const ownerReferences = owners(object).filter((owner) => owner['uid'] !== ownerUid);
    await cache.patch(object, { metadata: { ownerReferences } });
  }

  const dropFinalizer = async (cache: ObjectCache, object: KubeObject, name: string): Promise<void> => {
    await cache.patch(object, {
      metadata: { finalizers: (object.metadata.finalizers ?? []).filter((item) => item !== name) },
    });
  };

  return {
    stop: () => {
      cancelRefresh();
      queue.stop();
      for (const { cache, own } of watched.values()) if (own) cache.stop();
    },
  };
}

const idOf = (kind: AnyKind): string => `${kind.plural}.${kind.group}`;
