// SPDX-License-Identifier: Apache-2.0
// A deleted namespace is emptied of every resource, then let go. Objects with finalizers and pods with a grace period
// take their time; until then it is asked again.
import { type KubeObject, listAt, objectAt } from '../api/json.ts';
import { keyOf } from './cache.ts';
import type { AnyKind } from './kinds.ts';
import { collectionPath, discoverKinds } from './resources.ts';
import type { Controller, World } from './world.ts';

const AGAIN_MS = 300;

export function namespaceController(world: World): Controller {
  const queue = world.queue('namespace', reconcile);
  const { client, clock } = world.parts;
  world.namespaces.listen((namespace) => {
    if (namespace.metadata.deletionTimestamp) queue.add(keyOf(namespace));
  });

  async function reconcile(name: string): Promise<void> {
    const namespace = world.namespaces.get(name);
    if (!namespace?.metadata.deletionTimestamp || listAt(namespace, 'spec', 'finalizers').length === 0) return;
    const kinds = (await discoverKinds(client, ['deletecollection', 'list'])).filter((kind) => kind.namespaced);
    let left = 0;
    for (const kind of kinds) left += await empty(kind, name);
    if (left > 0) clock.after(AGAIN_MS, () => queue.add(name));
    else await finalize(namespace);
  }

  /** Deletes what is not being deleted yet; tells how much is left. */
  async function empty(kind: AnyKind, namespace: string): Promise<number> {
    const list = async (): Promise<unknown[]> =>
      listAt(JSON.parse(await client.text(collectionPath(kind, namespace))), 'items');
    const items = (await list()) as KubeObject[];
    for (const item of items)
      if (!item.metadata.deletionTimestamp) await client.delete(kind, { name: item.metadata.name!, namespace }, {});
    return items.length === 0 ? 0 : (await list()).length;
  }

  async function finalize(namespace: KubeObject): Promise<void> {
    const spec = { ...objectAt(namespace, 'spec'), finalizers: [] };
    await client.update(world.namespaces.kind, { ...namespace, spec } as never, 'finalize');
  }

  return queue;
}
