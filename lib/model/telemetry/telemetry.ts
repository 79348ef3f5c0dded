// SPDX-License-Identifier: Apache-2.0
//
// What each waypoint is told of telemetry: for all of its traffic, and for a service where objects of its namespace or
// for it alone say more. In order of precedence: root namespace, waypoint's namespace, service's namespace, Gateway or
// its class, service.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { OwnGateway } from '../gateway/gateways.ts';
import type { TargetSources } from '../l7/access.ts';
import { TELEMETRY } from '../l7/resource.ts';
import { type ScopedType, scopedValues } from '../l7/scoped.ts';
import { byAge, namespaceOf } from '../object/object.ts';
import { accessTargets } from '../policy/access-policy.ts';
import { targetRefsOf } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { hostnameOf } from '../workload/membership.ts';
import { mergeTelemetry } from './merge.ts';
import type { TelemetryObject } from './telemetry-spec.ts';

export interface TelemetrySources extends TargetSources {
  readonly telemetries: Collection<TelemetryObject>;
  readonly services: Collection<Service>;
  /** By name. */
  readonly providers: Collection<Provider>;
}

/** Where an object holds, as keys of one index. */
const WHERE = Object.freeze({
  namespace: (name: string) => `namespace ${name}`,
  service: (key: string) => `service ${key}`,
  gateway: (key: string) => `gateway ${key}`,
  gatewayClass: (name: string) => `class ${name}`,
});

/** By Gateway. */
type ByGateway = ReadonlyMap<string, Telemetry>;

export function createTelemetry(graph: Graph, sources: TelemetrySources): ScopedType {
  const { fronts, ownGateways, providers, services, settings } = sources;
  const within = createPlaces(graph, sources);

  const said = (name: string, objects: readonly TelemetryObject[], fetch: Fetch): Telemetry | undefined =>
    mergeTelemetry(name, objects, settingsIn(settings, fetch), (provider) => fetch.get(providers, provider));

  const above = (gateway: string, { profile }: OwnGateway, fetch: Fetch) => {
    const root = settingsIn(settings, fetch).rootNamespace;
    const namespace = gateway.slice(0, gateway.indexOf('/'));
    return {
      wide:
        namespace === root
          ? within(WHERE.namespace(root), fetch)
          : [...within(WHERE.namespace(root), fetch), ...within(WHERE.namespace(namespace), fetch)],
      own: [...within(WHERE.gatewayClass(profile.className), fetch), ...within(WHERE.gateway(gateway), fetch)],
    };
  };

  const ofGateways = graph.map('telemetry of gateways', ownGateways, (own, key, fetch): ByGateway | undefined => {
    const { own: targeted, wide } = above(key, own, fetch);
    const found = said('*', [...wide, ...targeted], fetch);
    return found === undefined ? undefined : new Map([[key, found]]);
  });

  const ofServices = graph.map(
    'telemetry of services',
    services,
    ({ namespace }, key, fetch): ByGateway | undefined => {
      const gateways = fronts.of(key, fetch);
      if (gateways.length === 0) return undefined;
      const targeted = within(WHERE.service(key), fetch);
      const found = gateways.flatMap((gateway): [string, Telemetry][] => {
        const own = fetch.get(ownGateways, gateway);
        const around = gateway.startsWith(`${namespace}/`) ? [] : within(WHERE.namespace(namespace), fetch);
        // Otherwise what is said of the Gateway holds.
        if (own === undefined || targeted.length + around.length === 0) return [];
        const upper = above(gateway, own, fetch);
        const merged = said(key, [...upper.wide, ...around, ...upper.own, ...targeted], fetch);
        return merged === undefined ? [] : [[gateway, merged]];
      });
      return found.length === 0 ? undefined : new Map(found);
    },
  );

  const all = graph.union('telemetry', [ofGateways, ofServices]);
  return scopedValues(graph, TELEMETRY, all, (of) => of);
}

/** Objects by where they hold: of several at one place the oldest counts alone. */
function createPlaces(
  graph: Graph,
  { serviceEntries, settings, telemetries }: TelemetrySources,
): (where: string, fetch: Fetch) => readonly TelemetryObject[] {
  const placed = graph.map('telemetries with their places', telemetries, (object, _key, fetch) => {
    const { domain, rootNamespace } = settingsIn(settings, fetch);
    const namespace = namespaceOf(object);
    if (targetRefsOf(object.spec).length === 0) {
      // A selector selects pods, which waypoints do not stand for.
      const selects = Object.keys(object.spec?.selector?.matchLabels ?? {}).length > 0;
      return { object, places: selects ? [] : [WHERE.namespace(namespace)] };
    }
    const targets = accessTargets(object, rootNamespace);
    const hosts = targets.serviceEntries.flatMap(
      (name) => fetch.get(serviceEntries, `${namespace}/${name}`)?.spec?.hosts ?? [],
    );
    return {
      object,
      places: [
        ...targets.services.map((name) => WHERE.service(`${namespace}/${hostnameOf(name, namespace, domain)}`)),
        ...hosts.map((host) => WHERE.service(`${namespace}/${host}`)),
        ...targets.gateways.map((name) => WHERE.gateway(`${namespace}/${name}`)),
        ...targets.gatewayClasses.map(WHERE.gatewayClass),
      ],
    };
  });
  const byPlace = graph.index('telemetries by place', placed, ({ places }) => places);
  return (where, fetch) =>
    fetch
      .lookup(byPlace, where)
      .map(({ object }) => object)
      .sort(byAge)
      .slice(0, 1);
}
