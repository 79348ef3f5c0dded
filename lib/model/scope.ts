// SPDX-License-Identifier: Apache-2.0
//
// Which objects count: those of namespaces that discovery selects, and configuration of this control plane's revision.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { EffectiveSettings, ModelInputs, SettingsCollection } from './inputs.ts';
import { DEFAULT_SETTINGS, SETTINGS } from './mesh-settings.ts';
import { selectorMatches } from './object/label-selector.ts';
import { NETWORK, REVISION } from './object/names.ts';
import { type KubeObject, label, labelsOf, type Service, spaceOf } from './object/object.ts';
import { countsHere, type OwnershipCollection, ownershipIn } from './revision.ts';

export function effectiveSettings(graph: Graph, inputs: ModelInputs): SettingsCollection {
  return graph.map('effective settings', inputs.settings, (settings, _key, fetch) => {
    const root = fetch.get(inputs.namespaces, settings.rootNamespace);
    return { ...settings, network: (root && label(root, NETWORK)) ?? '' };
  });
}

export function settingsIn(settings: SettingsCollection, fetch: Fetch): EffectiveSettings {
  return fetch.get(settings, SETTINGS) ?? { ...DEFAULT_SETTINGS, network: '' };
}

/** Networks of remote clusters, by cluster id: each cluster's root Namespace names its own. */
export function remoteNetworks(graph: Graph, inputs: ModelInputs): Collection<string> {
  return graph.flatMap('networks', inputs.namespaces, (space, _key, fetch) => {
    if (space.cluster === undefined) return [];
    const { rootNamespace } = fetch.get(inputs.settings, SETTINGS) ?? DEFAULT_SETTINGS;
    return space.metadata.name === rootNamespace ? [[space.cluster, label(space, NETWORK) ?? '']] : [];
  });
}

/** Where an object is: its cluster, and the network of that. */
export interface Place {
  readonly clusterId: string;
  readonly network: string;
}

export function placeOf(
  { cluster }: KubeObject,
  mesh: EffectiveSettings,
  networks: Collection<string>,
  fetch: Fetch,
): Place {
  if (cluster === undefined) return mesh;
  return { clusterId: cluster, network: fetch.get(networks, cluster) ?? '' };
}

/** Services that count here: all of the own cluster, of others those that the settings make global. */
export function servicesInScope(
  graph: Graph,
  objects: Collection<Service>,
  inputs: ModelInputs,
  settings: SettingsCollection,
): Collection<Service> {
  return graph.filter('global services', objects, (service, _key, fetch) => {
    if (service.cluster === undefined) return true;
    const space = fetch.get(inputs.namespaces, spaceOf(service));
    const around = space === undefined ? {} : labelsOf(space);
    const rule = settingsIn(settings, fetch).serviceScopes.find(
      (one) => selectorMatches(one.services, labelsOf(service)) && selectorMatches(one.namespaces, around),
    );
    return rule?.global === true;
  });
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
    isDiscovered(spaceOf(object), inputs, settings, fetch),
  );
}

function isDiscovered(space: string, inputs: ModelInputs, settings: SettingsCollection, fetch: Fetch): boolean {
  const { discoverySelectors } = settingsIn(settings, fetch);
  if (discoverySelectors.length === 0) return true;
  const object = fetch.get(inputs.namespaces, space);
  return object !== undefined && discoverySelectors.some((selector) => selectorMatches(selector, labelsOf(object)));
}

/** As {@link discovered}, and of this revision: a label with another one leaves the object to another istiod. */
export function discoveredConfig<T extends KubeObject>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  inputs: ModelInputs,
  settings: SettingsCollection,
  ownership: OwnershipCollection,
): Collection<T> {
  return graph.filter(
    `${name} in scope`,
    objects,
    (object, _key, fetch) =>
      countsHere(ownershipIn(ownership, fetch), label(object, REVISION)) &&
      isDiscovered(spaceOf(object), inputs, settings, fetch),
  );
}
