// SPDX-License-Identifier: Apache-2.0
// Discovery documents: /api, /apis, one a group version, and the aggregated form (v2) newer clients ask for first.
// Source: Kubernetes API concepts, "API Discovery"; apidiscovery.k8s.io/v2.
import type { Json, JsonObject } from '../json.ts';
import type { Catalog } from '../kinds/catalog.ts';
import { apiVersionOf, type Resource, type ServedVersion, type Subresource } from '../kinds/resource.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const HALF_VERBS = ['get', 'patch', 'update'];

const verbsOf = (resource: Resource): string[] => (resource.storage === '' ? ['create'] : VERBS);

function subresourcesOf(resource: Resource, version: ServedVersion): Record<string, Subresource> {
  return {
    ...resource.subresources,
    ...(version.status ? { status: { kind: resource.kind, verbs: HALF_VERBS } } : {}),
    ...(version.scale ? { scale: { kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: HALF_VERBS } } : {}),
  };
}

const servedIn = (catalog: Catalog, group: string, version: string): [Resource, ServedVersion][] =>
  catalog.all().flatMap((resource): [Resource, ServedVersion][] => {
    const served = resource.group === group ? resource.versions.get(version) : undefined;
    return served ? [[resource, served]] : [];
  });

/** `/api/v1` and `/apis/GROUP/VERSION`. Undefined when nothing is served there. */
export function resourceList(catalog: Catalog, group: string, version: string): JsonObject | undefined {
  const served = servedIn(catalog, group, version);
  if (served.length === 0) return undefined;
  const resources = served.flatMap(([resource, entry]): Json[] => [
    {
      name: resource.plural,
      singularName: resource.singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs: verbsOf(resource),
      ...(resource.short.length ? { shortNames: [...resource.short] } : {}),
      ...(resource.categories.length ? { categories: [...resource.categories] } : {}),
    },
    ...Object.entries(subresourcesOf(resource, entry)).map(([name, sub]) => ({
      name: `${resource.plural}/${name}`,
      singularName: '',
      namespaced: resource.namespaced,
      ...(sub.group ? { group: sub.group, version: sub.version ?? '' } : {}),
      kind: sub.kind,
      verbs: [...sub.verbs],
    })),
  ]);
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(group, version), resources };
}

function groupOf(group: string, versions: readonly string[]): JsonObject {
  const list = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: list, preferredVersion: list[0]! };
}

export function apiGroup(catalog: Catalog, group: string): JsonObject | undefined {
  const versions = catalog.groups().get(group);
  return versions && group ? { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group, versions) } : undefined;
}

export function apiGroupList(catalog: Catalog): JsonObject {
  const groups = [...catalog.groups()]
    .filter(([group]) => group !== '')
    .map(([group, versions]) => groupOf(group, versions));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

export const coreVersions = (address: string): JsonObject => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

export const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** The aggregated document of the core group or of all others. */
export function aggregated(catalog: Catalog, core: boolean): JsonObject {
  const items = [...catalog.groups()]
    .filter(([group]) => (group === '') === core)
    .map(([group, versions]) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: servedIn(catalog, group, version).map(([resource, served]) => discoveryOf(resource, served)),
      })),
    }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function discoveryOf(resource: Resource, version: ServedVersion): JsonObject {
  const kind = { group: resource.group, version: version.name, kind: resource.kind };
  const subresources = Object.entries(subresourcesOf(resource, version)).map(([subresource, sub]) => ({
    subresource,
    responseKind: { group: sub.group ?? resource.group, version: sub.version ?? version.name, kind: sub.kind },
    verbs: [...sub.verbs],
  }));
  return {
    resource: resource.plural,
    responseKind: kind,
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: verbsOf(resource),
    ...(resource.short.length ? { shortNames: [...resource.short] } : {}),
    ...(resource.categories.length ? { categories: [...resource.categories] } : {}),
    ...(subresources.length ? { subresources } : {}),
  };
}
