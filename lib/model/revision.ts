// SPDX-License-Identifier: Apache-2.0
//
// Which objects are this control plane's. An object, or its Namespace, names a revision or a tag; a tag is a name that
// leads to a revision and can be moved to another one; and one revision, the default, has what names nobody.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { ModelInputs, SettingsCollection } from './inputs.ts';
import { SETTINGS } from './mesh-settings.ts';
import { DEFAULT_VALIDATOR, REVISION, TAG } from './object/names.ts';
import { type KubeObject, label, namespaceOf } from './object/object.ts';

/** The tag, and by convention the revision, that has what names nobody. */
const DEFAULT = 'default';

/** What is ours by name. */
export interface Ownership {
  /** No revision of our own: every object is ours. */
  readonly everything: boolean;
  /** Our revision, and the tags that lead to it. */
  readonly names: ReadonlySet<string>;
  /** Objects that name nobody are ours: we are the default, or nobody is. */
  readonly unnamed: boolean;
}

export const EVERYTHING: Ownership = { everything: true, names: new Set(), unnamed: true };

export type OwnershipCollection = Collection<Ownership>;

/** One item under {@link SETTINGS}. Tags are on MutatingWebhookConfigurations and on Services of our own namespace. */
export function createOwnership(graph: Graph, inputs: ModelInputs, settings: SettingsCollection): OwnershipCollection {
  const taggedServices = graph.index('tags on services', inputs.services, (service) =>
    service.cluster === undefined && label(service, TAG) !== undefined ? [namespaceOf(service)] : [],
  );
  return graph.map('ownership', settings, ({ revision, systemNamespace }, _key, fetch): Ownership => {
    if (revision === '') return EVERYTHING;
    const tagged: KubeObject[] = [
      ...fetch.all(inputs.tagWebhooks).values(),
      ...fetch.lookup(taggedServices, systemNamespace),
    ];
    const names = new Set([revision]);
    for (const object of tagged) if (label(object, REVISION) === revision) names.add(label(object, TAG) ?? '');
    const validator = fetch.get(inputs.defaultValidators, DEFAULT_VALIDATOR);
    return { everything: false, names, unnamed: hasUnnamed(names, tagged, validator && label(validator, REVISION)) };
  });
}

/** The tag `default` decides, else the validator of objects without a revision; where neither is, nobody is excluded. */
function hasUnnamed(
  names: ReadonlySet<string>,
  tagged: readonly KubeObject[],
  validatedBy: string | undefined,
): boolean {
  if (tagged.some((object) => label(object, TAG) === DEFAULT)) return names.has(DEFAULT);
  return validatedBy === undefined || names.has(validatedBy);
}

export function ownershipIn(ownership: OwnershipCollection, fetch: Fetch): Ownership {
  return fetch.get(ownership, SETTINGS) ?? EVERYTHING;
}

/** Whether an object is ours that has to have one owner: its own label counts, then its Namespace's. Pure. */
export function isOwn(ownership: Ownership, own: string | undefined, ofNamespace: string | undefined): boolean {
  const wanted = own ?? ofNamespace ?? '';
  return ownership.everything || (wanted === '' ? ownership.unnamed : ownership.names.has(wanted));
}

/** Whether configuration counts here: what names nobody counts for every revision. Pure. */
export function countsHere({ everything, names }: Ownership, own: string | undefined): boolean {
  return everything || own === undefined || names.has(own);
}
