// SPDX-License-Identifier: Apache-2.0
//
// VirtualServices and DestinationRules, as collections: what each VirtualService puts before the ports of a service,
// and the traffic policy of each service. They count for services behind a waypoint, from the service's namespace or
// the waypoint's; DestinationRules from the root namespace too.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_RETRY } from '#lib/mesh/http/route-table.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import type { SettingsCollection } from '../inputs.ts';
import type { WaypointsOfServices } from '../l7/scoped.ts';
import { byAge, namespaceOf } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import type { Attachment, RouteService } from './context.ts';
import { convertDestinationRules, destinationHost } from './destination-rule.ts';
import type { DestinationRule } from './destination-rule-spec.ts';
import {
  attachVirtualService,
  type ConvertedVirtualService,
  convertVirtualService,
  isExportedTo,
} from './virtual-service.ts';
import type { VirtualService } from './virtual-service-spec.ts';

export interface IstioRouteSources {
  readonly settings: SettingsCollection;
  /** By `namespace/hostname`. */
  readonly meshServices: Collection<MeshService>;
  readonly byHostname: Index<MeshService>;
  readonly fronts: WaypointsOfServices;
  readonly virtualServices: Collection<VirtualService>;
  readonly destinationRules: Collection<DestinationRule>;
}

export interface IstioRouteCollections {
  /** By the table's name. */
  readonly attachments: Collection<readonly Attachment[]>;
  /** By the service's key. */
  readonly trafficPolicies: Collection<TrafficPolicy>;
}

interface MeshVirtualService {
  readonly object: VirtualService;
  readonly converted: ConvertedVirtualService;
}

const MESH = 'mesh';

export function createIstioRoutes(graph: Graph, sources: IstioRouteSources): IstioRouteCollections {
  return { attachments: virtualServices(graph, sources), trafficPolicies: trafficPolicies(graph, sources) };
}

function virtualServices(graph: Graph, sources: IstioRouteSources): Collection<readonly Attachment[]> {
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
    const found = candidates(byHost, service.hostname, fetch).filter(
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

function trafficPolicies(graph: Graph, sources: IstioRouteSources): Collection<TrafficPolicy> {
  const { destinationRules, fronts, meshServices, settings } = sources;
  const domainless = graph.map('destination rules by whole host', destinationRules, (rule, _key, fetch) => ({
    rule,
    host: destinationHost(rule, settingsIn(settings, fetch).domain),
  }));
  const byHost = graph.index('destination rules by host', domainless, ({ host }) => [host]);
  return graph.map('traffic policies', meshServices, (service, key, fetch): TrafficPolicy | undefined => {
    const { domain, rootNamespace } = settingsIn(settings, fetch);
    // Also of services behind no waypoint: routes may lead to them.
    const places = [...(placesOf(service, fronts, fetch) ?? [service.namespace]), rootNamespace];
    const found = candidates(byHost, service.hostname, fetch)
      .map(({ rule }) => rule)
      .filter((rule) => places.includes(namespaceOf(rule)) && isRuleExported(rule, places))
      .sort((a, b) => places.indexOf(namespaceOf(a)) - places.indexOf(namespaceOf(b)) || byAge(a, b));
    const [first] = found;
    if (first === undefined) return undefined;
    // Rules of one host and namespace add up; those of a farther namespace give way.
    const together = found.filter((rule) => namespaceOf(rule) === namespaceOf(first) && hostOf(rule) === hostOf(first));
    const context = {
      domain,
      credential: () => undefined,
      locality: {},
      connectionPool: undefined,
      outlierDetection: undefined,
    };
    return convertDestinationRules(together, key, context).policy;
  });
}

function hostOf(rule: DestinationRule): string {
  return rule.spec?.host ?? '';
}

/** Namespaces whose configuration counts, the nearest first: the waypoint's, the service's. undefined: no waypoint. */
function placesOf(service: MeshService, fronts: WaypointsOfServices, fetch: Fetch): string[] | undefined {
  const gateways = fronts.of(service.key, fetch);
  if (gateways.length === 0) return undefined;
  return [...new Set([...gateways.map((gateway) => gateway.slice(0, gateway.indexOf('/'))), service.namespace])];
}

/** Items filed under the host itself, then under patterns that cover it, the most specific first. */
function candidates<T>(byHost: Index<T>, hostname: string, fetch: Fetch): T[] {
  const keys = [hostname];
  for (let dot = hostname.indexOf('.'); dot >= 0; dot = hostname.indexOf('.', dot + 1)) {
    keys.push(`*${hostname.slice(dot)}`);
  }
  return [...keys, '*'].flatMap((key) => fetch.lookup(byHost, key));
}

function isRuleExported({ metadata, spec }: DestinationRule, places: readonly string[]): boolean {
  const { exportTo = [] } = spec ?? {};
  if (exportTo.length === 0) return true;
  return exportTo.some((one) => one === '*' || places.includes(one === '.' ? (metadata.namespace ?? '') : one));
}

function routeService(service: MeshService): RouteService {
  return {
    key: service.key,
    ports: service.ports.map(({ servicePort }) => ({ name: '', port: servicePort })),
    attachable: service.vips.length > 0,
    hasWaypoint: service.waypoint !== undefined,
  };
}
