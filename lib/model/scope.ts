// SPDX-License-Identifier: Apache-2.0
//
// Which objects count: those of namespaces that discovery selects, and configuration of this control plane's revision.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { EffectiveSettings, ModelInputs, SettingsCollection } from './inputs.ts';
import { DEFAULT_SETTINGS, SETTINGS } from './mesh-settings.ts';
import { NETWORK, REVISION } from './object/names.ts';
import { type KubeObject, label, labelsOf, namespaceOf } from './object/object.ts';
import { selects } from './object/selector.ts';

export function effectiveSettings(graph: Graph, inputs: ModelInputs): SettingsCollection {
  return graph.map('effective settings', inputs.settings, (settings, _key, fetch) => {
    const root = fetch.get(inputs.namespaces, settings.rootNamespace);
    return { ...settings, network: (root && label(root, NETWORK)) ?? '' };
  });
}

export function settingsIn(settings: SettingsCollection, fetch: Fetch): EffectiveSettings {
  return fetch.get(settings, SETTINGS) ?? { ...DEFAULT_SETTINGS, network: '' };
}

/** Objects of discovered namespaces. */
export function discovered<T extends KubeObject>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  inputs: ModelInputs,
  settings: SettingsCollection,
): Collection<T> {
  return graph.filter(`${name} in scope`, objects, (object, _key, fetch) =>
    isDiscovered(namespaceOf(object), inputs, settings, fetch),
  );
}

function isDiscovered(namespace: string, inputs: ModelInputs, settings: SettingsCollection, fetch: Fetch): boolean {
  const { discoverySelectors } = settingsIn(settings, fetch);
  if (discoverySelectors.length === 0) return true;
  const object = fetch.get(inputs.namespaces, namespace);
  return object !== undefined && discoverySelectors.some((selector) => selects(selector, labelsOf(object)));
}

/** As {@link discovered}, and of this revision: a label with another one leaves the object to another istiod. */
export function discoveredConfig<T extends KubeObject>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  inputs: ModelInputs,
  settings: SettingsCollection,
): Collection<T> {
  return graph.filter(`${name} in scope`, objects, (object, _key, fetch) => {
    const { revision } = settingsIn(settings, fetch);
    const wanted = label(object, REVISION);
    if (wanted !== undefined && revision !== '' && wanted !== revision) return false;
    return isDiscovered(namespaceOf(object), inputs, settings, fetch);
  });
}
