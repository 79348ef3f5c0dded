// SPDX-License-Identifier: Apache-2.0
//
// Everything waypoints are told beside WDS, by type, each resource under the Gateways that are to have it.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { OwnGateway } from '../gateway/gateways.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { ROUTE_TABLE, WAYPOINT } from './resource.ts';
import { type ScopedType, scopedType, WaypointsOfServices } from './scoped.ts';
import { waypointSettings } from './settings.ts';

export interface Layer7Sources {
  readonly ownGateways: Collection<OwnGateway>;
  readonly waypoints: Collection<Waypoint>;
  /** By `namespace/hostname`. */
  readonly services: Collection<Service>;
  readonly tables: Collection<RouteTable>;
}

export function createLayer7(graph: Graph, sources: Layer7Sources): readonly ScopedType[] {
  const { ownGateways, services, tables, waypoints } = sources;
  const fronts = new WaypointsOfServices(graph, services, waypoints);
  const settings = graph.map('waypoint settings', ownGateways, ({ gateway }) => waypointSettings(gateway));
  return [
    scopedType(graph, WAYPOINT, settings, ({ name }) => [name]),
    scopedType(graph, ROUTE_TABLE, tables, ({ name }, _key, fetch) => fronts.of(serviceOfTable(name), fetch)),
  ];
}

/** `namespace/hostname:port` without the port. */
function serviceOfTable(name: string): string {
  return name.slice(0, name.lastIndexOf(':'));
}
