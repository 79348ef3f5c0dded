// SPDX-License-Identifier: Apache-2.0
// Which resources the server has, by asking it: namespaces are emptied of all of them, owners may be any of them.
import type { KubeClient } from '#lib/kube/client.ts';
import { isObject, type JsonObject, listAt, textAt } from '../api/json.ts';
import type { AnyKind } from './kinds.ts';

/** Every resource with these verbs, one version of each. */
export async function discoverKinds(client: KubeClient, verbs: readonly string[]): Promise<AnyKind[]> {
  const read = async (path: string): Promise<JsonObject> => JSON.parse(await client.text(path)) as JsonObject;
  const groups = listAt(await read('/apis'), 'groups').flatMap(
    (group) => textAt(group, 'preferredVersion', 'groupVersion') ?? [],
  );
  const lists = await Promise.all(['/api/v1', ...groups.map((group) => `/apis/${group}`)].map(read));
  const kinds = lists.flatMap((list) => {
    const groupVersion = textAt(list, 'groupVersion') ?? '';
    const [group, version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion];
    return listAt(list, 'resources')
      .filter(isObject)
      .filter(
        (entry) => !String(entry['name']).includes('/') && verbs.every((verb) => listAt(entry, 'verbs').includes(verb)),
      )
      .map(
        (entry): AnyKind => ({
          group: group!,
          version: version!,
          kind: String(entry['kind']),
          plural: String(entry['name']),
          namespaced: entry['namespaced'] === true,
        }),
      );
  });
  // Events are served by two groups; once is enough.
  return kinds.filter((kind) => kind.group !== 'events.k8s.io');
}

export const collectionPath = (kind: AnyKind, namespace?: string): string =>
  `${kind.group ? `/apis/${kind.group}` : '/api'}/${kind.version}${namespace ? `/namespaces/${namespace}` : ''}/${kind.plural}`;
