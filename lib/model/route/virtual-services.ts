// SPDX-License-Identifier: Apache-2.0
//
// VirtualServices, as a collection: what they put before the ports of a service. They count for services behind a
// waypoint, from the service's namespace or the waypoint's.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_RETRY } from '#lib/mesh/http/route-table.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import type { SettingsCollection } from '../inputs.ts';
import type { WaypointsOfServices } from '../l7/scoped.ts';
import { namespaceOf } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import { itemsForHost } from './by-host.ts';
import type { Attachment, RouteService } from './context.ts';
import {
  attachVirtualService,
  type ConvertedVirtualService,
  convertVirtualService,
  isExportedTo,
} from './virtual-service.ts';
import type { VirtualService } from './virtual-service-spec.ts';

export interface VirtualServiceSources {
  readonly settings: SettingsCollection;
  /** By `namespace/hostname`. */
  readonly meshServices: Collection<MeshService>;
  readonly byHostname: Index<MeshService>;
  readonly fronts: WaypointsOfServices;
  readonly virtualServices: Collection<VirtualService>;
}

interface MeshVirtualService {
  readonly object: VirtualService;
  readonly converted: ConvertedVirtualService;
}

const MESH = 'mesh';

/** Attachments by the table's name. */
export function attachVirtualServices(graph: Graph, sources: VirtualServiceSources): Collection<readonly Attachment[]> {
  const { byHostname, fronts, meshServices, settings } = sources;
  const converted = graph.map(
    'converted virtual services',
    sources.virtualServices,
    (object, _key, fetch): MeshVirtualService | undefined => {
      const context = {
        domain: settingsIn(settings, fetch).domain,
        serviceByHostname: (hostname: string, namespace: string) => {
          const found = fetch.lookup(byHostname, hostname);
          const near = found.find((service) => service.namespace === namespace) ?? found[0];
          return near === undefined ? undefined : routeService(near);
        },
        delegate: (namespace: string, name: string) => fetch.get(sources.virtualServices, `${namespace}/${name}`),
        defaultRetry: DEFAULT_RETRY,
      };
      const made = convertVirtualService(object, context);
      return made.hosts.length > 0 && made.gateways.includes(MESH) ? { object, converted: made } : undefined;
    },
  );
  const byHost = graph.index('virtual services by host', converted, (one) => one.converted.hosts);
  return graph.flatMap('attached virtual services', meshServices, (service, key, fetch) => {
    const places = placesOf(service, fronts, fetch);
    if (places === undefined) return [];
    const found = itemsForHost(byHost, service.hostname, fetch).filter(
      ({ object }) =>
        places.includes(namespaceOf(object)) && places.some((namespace) => isExportedTo(object, namespace)),
    );
    if (found.length === 0) return [];
    return service.ports.map(({ servicePort }): [string, readonly Attachment[]] => {
      const attached = found.map((one) => attachVirtualService(one.converted, routeService(service), servicePort));
      return [`${key}:${servicePort}`, attached];
    });
  });
}

/** Namespaces whose configuration counts, the nearest first: the waypoint's, the service's. undefined: no waypoint. */
function placesOf(service: MeshService, fronts: WaypointsOfServices, fetch: Fetch): string[] | undefined {
  const gateways = fronts.of(service.key, fetch);
  if (gateways.length === 0) return undefined;
  return [...new Set([...gateways.map((gateway) => gateway.slice(0, gateway.indexOf('/'))), service.namespace])];
}

function routeService(service: MeshService): RouteService {
  return {
    key: service.key,
    ports: service.ports.map(({ servicePort }) => ({ name: '', port: servicePort })),
    attachable: service.vips.length > 0,
    hasWaypoint: service.waypoint !== undefined,
  };
}
