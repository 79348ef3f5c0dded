// SPDX-License-Identifier: Apache-2.0
//
// Everything waypoints are told beside WDS, by type, each resource under the Gateways that are to have it. Every type
// is here, also where nothing makes resources of it yet: a proxy opens its doors when it has heard of all of them.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import { convertAccessPolicy } from '../policy/access-policy.ts';
import { type AuthorizationPolicy, targetRefsOf } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { createTelemetry, type TelemetrySources } from '../telemetry/telemetry.ts';
import { enforcers } from './access.ts';
import { BackendTls, type BackendTlsSources } from './backend-tls.ts';
import { BackendTraffic, type BackendTrafficSources } from './backend-traffic.ts';
import type { NamedRef } from './named-data.ts';
import type { PolicyStatus } from './policy-ancestors.ts';
import { createProviders } from './providers.ts';
import { ACCESS_POLICY, ROUTE_TABLE, WAYPOINT } from './resource.ts';
import { type ScopedType, scopedType, scopedValues } from './scoped.ts';
import { Senders, serviceOfTable } from './senders.ts';
import { waypointSettings } from './settings.ts';
import { createTokens, type KeySetRef, type TokenSources } from './tokens.ts';
import { createTraffic, type TrafficSources, wantedCredentials } from './traffic-policies.ts';

export interface Layer7Sources
  extends TokenSources,
    Pick<TelemetrySources, 'telemetries'>,
    Omit<TrafficSources, 'senders' | 'backendTls' | 'backendTraffic'>,
    BackendTlsSources,
    BackendTrafficSources {
  readonly tables: Collection<RouteTable>;
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
}

export interface Layer7Collections {
  readonly types: readonly ScopedType[];
  /** Key sets that have to be fetched. */
  readonly wantedKeySets: Collection<KeySetRef>;
  /** Secrets and ConfigMaps that have to be read. */
  readonly wantedData: Collection<NamedRef>;
  /** Of BackendTLSPolicies, by key. */
  readonly policyStatuses: Collection<PolicyStatus>;
  /** Of XBackendTrafficPolicies, by key. */
  readonly backendTrafficStatuses: Collection<PolicyStatus>;
}

export function createLayer7(graph: Graph, sources: Layer7Sources): Layer7Collections {
  const { authorizationPolicies, fronts, ownGateways, settings, tables } = sources;
  const providers = createProviders(graph, sources);
  const senders = new Senders(graph, { tables, fronts, providers, ownGateways });
  const backendTls = new BackendTls(graph, sources);
  const backendTraffic = new BackendTraffic(graph, sources);
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
    ...createTraffic(graph, { ...sources, senders, backendTls, backendTraffic }),
    scopedValues(graph, ACCESS_POLICY, authorizationPolicies, (object, _key, fetch) => {
      if (targetRefsOf(object.spec).length === 0) return new Map();
      const found = enforcers(object, sources, fetch);
      const mesh = settingsIn(settings, fetch);
      return new Map([...found].map(([gateway, services]) => [gateway, convertAccessPolicy(object, mesh, services)]));
    }),
    tokens.type,
    createTelemetry(graph, { ...sources, providers }),
  ];
  return {
    types,
    wantedKeySets: tokens.wanted,
    wantedData: graph.union('data to read', [backendTls.wanted, wantedCredentials(graph, sources.destinationRules)]),
    policyStatuses: backendTls.statuses(graph, senders),
    backendTrafficStatuses: backendTraffic.statuses(graph, senders),
  };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
