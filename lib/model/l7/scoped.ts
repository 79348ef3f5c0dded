// SPDX-License-Identifier: Apache-2.0
//
// Which waypoints get which resources. A resource is encoded once and stands under the key of each Gateway whose
// proxies are to have it; nobody else sees it.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { describeGateway } from '#lib/mesh/gateway-address.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import type { EncodedResource } from '../wds/encode.ts';
import type { ResourceType } from './resource.ts';

export interface ScopedResource {
  /** Key of the Gateway, `namespace/name`. */
  readonly scope: string;
  readonly resource: EncodedResource;
}

/** All resources of one type. */
export interface ScopedType {
  readonly typeUrl: string;
  readonly resources: Collection<ScopedResource>;
}

const BY_VERSION = {
  equals: (a: ScopedResource, b: ScopedResource): boolean => a.resource.version === b.resource.version,
};

function nameOf(typeUrl: string): string {
  return `${typeUrl.slice(typeUrl.lastIndexOf('.') + 1)} of waypoints`;
}

/** A type's values as resources of the Gateways that `scopesOf` names. */
export function scopedType<T>(
  graph: Graph,
  type: ResourceType<T>,
  values: Collection<T>,
  scopesOf: (value: T, key: string, fetch: Fetch) => readonly string[],
): ScopedType {
  const resources = graph.flatMap(
    nameOf(type.typeUrl),
    values,
    (value, key, fetch): [string, ScopedResource][] => {
      const scopes = scopesOf(value, key, fetch);
      if (scopes.length === 0) return [];
      const resource = type.encode(value);
      return scopes.map((scope) => [`${scope} ${resource.name}`, { scope, resource }]);
    },
    BY_VERSION,
  );
  return { typeUrl: type.typeUrl, resources };
}

/** As {@link scopedType}, where a value differs from Gateway to Gateway. @param valuesOf value by Gateway */
export function scopedValues<S, T>(
  graph: Graph,
  type: ResourceType<T>,
  over: Collection<S>,
  valuesOf: (item: S, key: string, fetch: Fetch) => ReadonlyMap<string, T>,
): ScopedType {
  const resources = graph.flatMap(
    nameOf(type.typeUrl),
    over,
    (item, key, fetch): [string, ScopedResource][] =>
      [...valuesOf(item, key, fetch)].map(([scope, value]) => {
        const resource = type.encode(value);
        return [`${scope} ${resource.name}`, { scope, resource }];
      }),
    BY_VERSION,
  );
  return { typeUrl: type.typeUrl, resources };
}

/** The Gateways that a service's traffic passes, a canary included. */
export class WaypointsOfServices {
  readonly #services: Collection<Service>;
  readonly #byAddress: Index<Waypoint>;

  constructor(graph: Graph, services: Collection<Service>, waypoints: Collection<Waypoint>) {
    this.#services = services;
    this.#byAddress = graph.index('waypoints by address', waypoints, ({ address }) =>
      address === undefined ? [] : [describeGateway(address)],
    );
  }

  /** @param key `namespace/hostname` */
  of(key: string, fetch: Fetch): readonly string[] {
    const service = fetch.get(this.#services, key);
    if (service?.waypoint === undefined) return [];
    const addresses = [service.waypoint, ...service.weightedWaypoints.map(({ address }) => address)];
    const found = addresses.flatMap((address) => fetch.lookup(this.#byAddress, describeGateway(address)));
    return [...new Set(found.map((waypoint) => waypoint.key))];
  }
}
