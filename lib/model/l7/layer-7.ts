// SPDX-License-Identifier: Apache-2.0
//
// Everything waypoints are told beside WDS, by type, each resource under the Gateways that are to have it. Every type
// is here, also where nothing makes resources of it yet: a proxy opens its doors when it has heard of all of them.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import { convertAccessPolicy } from '../policy/access-policy.ts';
import { type AuthorizationPolicy, targetRefsOf } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { enforcers } from './access.ts';
import { createProviders } from './providers.ts';
import { ACCESS_POLICY, ROUTE_TABLE, TELEMETRY, WAYPOINT } from './resource.ts';
import { type ScopedType, scopedType, scopedValues } from './scoped.ts';
import { Senders, serviceOfTable } from './senders.ts';
import { waypointSettings } from './settings.ts';
import { createTokens, type KeySetRef, type TokenSources } from './tokens.ts';
import { createTraffic, type TrafficSources } from './traffic-policies.ts';

export interface Layer7Sources extends TokenSources, Omit<TrafficSources, 'senders'> {
  readonly tables: Collection<RouteTable>;
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
}

export interface Layer7Collections {
  readonly types: readonly ScopedType[];
  /** Key sets that have to be fetched. */
  readonly wantedKeySets: Collection<KeySetRef>;
}

export function createLayer7(graph: Graph, sources: Layer7Sources): Layer7Collections {
  const { authorizationPolicies, fronts, ownGateways, settings, tables } = sources;
  const providers = createProviders(graph, sources);
  const senders = new Senders(graph, { tables, fronts, providers, ownGateways });
  const tokens = createTokens(graph, sources);
  const types = [
    scopedType(
      graph,
      WAYPOINT,
      graph.map('waypoint settings', ownGateways, ({ gateway }, _key, fetch) =>
        waypointSettings(gateway, settingsIn(settings, fetch), [...fetch.all(providers).values()].sort(byName)),
      ),
      ({ name }) => [name],
    ),
    scopedType(graph, ROUTE_TABLE, tables, ({ name }, _key, fetch) => fronts.of(serviceOfTable(name), fetch)),
    ...createTraffic(graph, { ...sources, senders }),
    scopedValues(graph, ACCESS_POLICY, authorizationPolicies, (object, _key, fetch) => {
      if (targetRefsOf(object.spec).length === 0) return new Map();
      const found = enforcers(object, sources, fetch);
      const mesh = settingsIn(settings, fetch);
      return new Map([...found].map(([gateway, services]) => [gateway, convertAccessPolicy(object, mesh, services)]));
    }),
    tokens.type,
    scopedType(graph, TELEMETRY, graph.constant<Telemetry>('telemetry', []), () => []),
  ];
  return { types, wantedKeySets: tokens.wanted };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
