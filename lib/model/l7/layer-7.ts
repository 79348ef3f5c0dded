// SPDX-License-Identifier: Apache-2.0
//
// Everything waypoints are told beside WDS, by type, each resource under the Gateways that are to have it. Every type
// is here, also where nothing makes resources of it yet: a proxy opens its doors when it has heard of all of them.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Backend, RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { labelsOf, type Pod } from '../object/object.ts';
import { convertAccessPolicy } from '../policy/access-policy.ts';
import { type AuthorizationPolicy, targetRefsOf } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { podUid } from '../workload/pod.ts';
import { enforcers } from './access.ts';
import {
  ACCESS_POLICY,
  ROUTE_TABLE,
  TELEMETRY,
  TRAFFIC_POLICY,
  WAYPOINT,
  WORKLOAD_LABELS,
  type WorkloadLabels,
} from './resource.ts';
import { type ScopedType, scopedType, scopedValues } from './scoped.ts';
import { waypointSettings } from './settings.ts';
import { createTokens, type KeySetRef, type TokenSources } from './tokens.ts';

export interface Layer7Sources extends TokenSources {
  readonly tables: Collection<RouteTable>;
  readonly trafficPolicies: Collection<TrafficPolicy>;
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
  readonly pods: Collection<Pod>;
  readonly workloads: Collection<Workload>;
}

export interface Layer7Collections {
  readonly types: readonly ScopedType[];
  /** Key sets that have to be fetched. */
  readonly wantedKeySets: Collection<KeySetRef>;
}

export function createLayer7(graph: Graph, sources: Layer7Sources): Layer7Collections {
  const { authorizationPolicies, fronts, ownGateways, settings, tables, trafficPolicies } = sources;
  const leadingTo = graph.index('route tables by destination', tables, destinationsOf);
  /** Gateways that send requests to a service: its own, and those whose routes lead there. */
  const sendersTo = (service: string, fetch: Fetch): string[] => {
    const routed = fetch.lookup(leadingTo, service).flatMap(({ name }) => fronts.of(serviceOfTable(name), fetch));
    return [...new Set([...fronts.of(service, fetch), ...routed])];
  };
  const tokens = createTokens(graph, sources);
  const types = [
    scopedType(
      graph,
      WAYPOINT,
      graph.map('waypoint settings', ownGateways, ({ gateway }) => waypointSettings(gateway)),
      ({ name }) => [name],
    ),
    scopedType(graph, ROUTE_TABLE, tables, ({ name }, _key, fetch) => fronts.of(serviceOfTable(name), fetch)),
    scopedType(graph, TRAFFIC_POLICY, trafficPolicies, ({ name }, _key, fetch) => sendersTo(name, fetch)),
    scopedValues(graph, ACCESS_POLICY, authorizationPolicies, (object, _key, fetch) => {
      if (targetRefsOf(object.spec).length === 0) return new Map();
      const found = enforcers(object, sources, fetch);
      const mesh = settingsIn(settings, fetch);
      return new Map([...found].map(([gateway, services]) => [gateway, convertAccessPolicy(object, mesh, services)]));
    }),
    scopedType(graph, WORKLOAD_LABELS, workloadLabels(graph, sources), ({ name }, _key, fetch) => [
      ...new Set(dividedServices(name, sources, fetch).flatMap((key) => sendersTo(key, fetch))),
    ]),
    tokens.type,
    scopedType(graph, TELEMETRY, graph.constant<Telemetry>('telemetry', []), () => []),
  ];
  return { types, wantedKeySets: tokens.wanted };
}

/** Labels of those pods that stand behind a service with subsets: nobody asks for others. */
function workloadLabels(graph: Graph, sources: Layer7Sources): Collection<WorkloadLabels> {
  const { pods, settings } = sources;
  return graph.flatMap('workload labels', pods, (pod, _key, fetch): [string, WorkloadLabels][] => {
    const name = podUid(pod, settingsIn(settings, fetch).clusterId);
    return dividedServices(name, sources, fetch).length === 0 ? [] : [[name, { name, labels: labelsOf(pod) }]];
  });
}

/** Services of a workload that have subsets. */
function dividedServices(uid: string, { trafficPolicies, workloads }: Layer7Sources, fetch: Fetch): string[] {
  const services = fetch.get(workloads, uid)?.services.keys() ?? [];
  return [...services].filter((key) => (fetch.get(trafficPolicies, key)?.subsets.length ?? 0) > 0);
}

/** Keys of all services that requests or streams of the table may go to. */
function destinationsOf({ http, tcp, tls }: RouteTable): Set<string> {
  const mirrored = (backend: Backend): (Backend | undefined)[] => [
    backend,
    ...backend.mirrors.map((mirror) => mirror.backend),
  ];
  const backends = [
    ...http.flatMap(({ rules }) =>
      rules.flatMap((rule) => [...rule.backends, ...rule.mirrors.map((one) => one.backend)]),
    ),
    ...[...tls, ...tcp].flatMap((one) => one.backends),
  ];
  const all = backends.flatMap((backend) => (backend === undefined ? [] : mirrored(backend)));
  return new Set(all.flatMap((backend) => (backend?.target === undefined ? [] : [backend.target.service])));
}

/** `namespace/hostname:port` without the port. */
function serviceOfTable(name: string): string {
  return name.slice(0, name.lastIndexOf(':'));
}
