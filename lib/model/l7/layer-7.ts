// SPDX-License-Identifier: Apache-2.0
//
// Everything waypoints are told beside WDS, by type, each resource under the Gateways that are to have it. Every type
// is here, also where nothing makes resources of it yet: a proxy opens its doors when it has heard of all of them.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { OwnGateway } from '../gateway/gateways.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import {
  ACCESS_POLICY,
  REQUEST_AUTHENTICATION,
  ROUTE_TABLE,
  TELEMETRY,
  TRAFFIC_POLICY,
  WAYPOINT,
  WORKLOAD_LABELS,
} from './resource.ts';
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
  const none = <T>(name: string) => graph.constant<T>(name, []);
  return [
    scopedType(graph, WAYPOINT, settings, ({ name }) => [name]),
    scopedType(graph, ROUTE_TABLE, tables, ({ name }, _key, fetch) => fronts.of(serviceOfTable(name), fetch)),
    scopedType(graph, TRAFFIC_POLICY, none('traffic policies'), () => []),
    scopedType(graph, ACCESS_POLICY, none('access policies'), () => []),
    scopedType(graph, REQUEST_AUTHENTICATION, none('request authentications'), () => []),
    scopedType(graph, TELEMETRY, none('telemetry'), () => []),
    scopedType(graph, WORKLOAD_LABELS, none('workload labels'), () => []),
  ];
}

/** `namespace/hostname:port` without the port. */
function serviceOfTable(name: string): string {
  return name.slice(0, name.lastIndexOf(':'));
}
