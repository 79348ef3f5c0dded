// SPDX-License-Identifier: Apache-2.0
//
// All routes, as collections: each converted by itself, tables gathered from what they attach to one place, and what
// each parent of a route is told.
//
//   routes ── services, listeners, grants ──▶ converted routes ──▶ tables ──▶ statuses (who gave way)

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_RETRY, type RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import type { GatewayCollections } from '../gateway/gateways.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { WaypointsOfServices } from '../l7/scoped.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { keyOf, namespaceOf, type Service } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import { hostnameOf } from '../workload/membership.ts';
import {
  type Attachment,
  type ConditionValue,
  type ConvertedRoute,
  listenerTable,
  type Reference,
  type RouteContext,
  type RouteListener,
  type RouteService,
} from './context.ts';
import { convertGrpcRoute } from './grpc-route.ts';
import { convertHttpRoute } from './http-route.ts';
import { isGranted } from './reference.ts';
import type { GrpcRoute, HttpRoute, ParentRef, StreamRoute } from './spec.ts';
import { convertTcpRoute, convertTlsRoute } from './stream-route.ts';
import { type BuiltTable, buildTable } from './table.ts';
import type { VirtualService } from './virtual-service-spec.ts';
import { attachVirtualServices } from './virtual-services.ts';

export interface RouteSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly gateways: Pick<GatewayCollections, 'own' | 'others' | 'listenerSets'>;
  readonly services: Collection<Service>;
  readonly serviceEntries: Collection<ServiceEntry>;
  /** By `namespace/hostname`. */
  readonly meshServices: Collection<MeshService>;
  readonly httpRoutes: Collection<HttpRoute>;
  readonly grpcRoutes: Collection<GrpcRoute>;
  readonly tlsRoutes: Collection<StreamRoute>;
  readonly tcpRoutes: Collection<StreamRoute>;
  readonly virtualServices: Collection<VirtualService>;
  readonly fronts: WaypointsOfServices;
}

/** What a route's status says of each parent that is ours to answer for. */
export interface RouteStatus {
  readonly kind: string;
  readonly key: string;
  readonly parents: readonly { readonly ref: ParentRef; readonly conditions: readonly ConditionValue[] }[];
}

export interface RouteCollections {
  /** By `Kind namespace/name`. */
  readonly converted: Collection<ConvertedRoute>;
  /** By the table's name. */
  readonly tables: Collection<RouteTable>;
  /** By `Kind namespace/name`. */
  readonly statuses: Collection<RouteStatus>;
  /** A service that something refers to; undefined when there is none. */
  readonly serviceOf: (reference: Reference, fetch: Fetch) => RouteService | undefined;
}

export function createRoutes(graph: Graph, sources: RouteSources): RouteCollections {
  const byHostname = graph.index('services by hostname', sources.meshServices, ({ hostname }) => [hostname]);
  const contextOf = contexts(graph, sources, byHostname);
  const convert = <T extends HttpRoute | GrpcRoute | StreamRoute>(
    name: string,
    routes: Collection<T>,
    conversion: (route: T, context: RouteContext) => ConvertedRoute,
  ): Collection<ConvertedRoute> =>
    graph.flatMap(`converted ${name}`, routes, (route, _key, fetch) => {
      const converted = conversion(route, contextOf(fetch));
      return [[`${converted.kind} ${converted.key}`, converted] as const];
    });
  const converted = graph.union('converted routes', [
    convert('http routes', sources.httpRoutes, convertHttpRoute),
    convert('grpc routes', sources.grpcRoutes, convertGrpcRoute),
    convert('tls routes', sources.tlsRoutes, convertTlsRoute),
    convert('tcp routes', sources.tcpRoutes, convertTcpRoute),
  ]);
  const byTable = graph.index('routes by table', converted, (route) => attachmentsOf(route).map(({ table }) => table));
  const fromRoutes = graph.group('attached routes', byTable, (routes, name): readonly Attachment[] =>
    routes.flatMap(attachmentsOf).filter(({ table }) => table === name),
  );
  const fromIstio = attachVirtualServices(graph, { ...sources, byHostname });
  const built = graph.join(
    'built tables',
    fromRoutes,
    fromIstio,
    (routes = [], virtualServices = [], name): BuiltTable => buildTable(name, [...routes, ...virtualServices]),
  );
  return {
    converted,
    tables: graph.map('route tables', built, ({ table }) => table),
    serviceOf: (reference, fetch) => contextOf(fetch).service(reference),
    statuses: graph.map('route statuses', converted, (route, _key, fetch) => statusOf(route, built, fetch)),
  };
}

function attachmentsOf(route: ConvertedRoute): Attachment[] {
  return route.parents.flatMap(({ attachments }) => attachments);
}

/** A parent all of whose places are another's is not obeyed there. */
function statusOf(route: ConvertedRoute, built: Collection<BuiltTable>, fetch: Fetch): RouteStatus | undefined {
  const { key, kind, parents } = route;
  if (parents.length === 0) return undefined;
  return {
    kind,
    key,
    parents: parents.map(({ attachments, conditions, ref }) => {
      const lost = attachments.flatMap(({ parent, table }) =>
        (fetch.get(built, table)?.conflicts ?? []).filter(
          (conflict) => conflict.kind === kind && conflict.key === key && conflict.parent === parent,
        ),
      );
      if (lost.length === 0 || lost.length < attachments.length) return { ref, conditions };
      const refused = { type: 'Accepted', status: false, reason: 'ParentRefConflict', message: lost[0]?.message ?? '' };
      return { ref, conditions: conditions.map((one) => (one.type === 'Accepted' ? refused : one)) };
    }),
  };
}

/** How the conversion of a route looks at the cluster, through the dependencies of that route. */
function contexts(graph: Graph, sources: RouteSources, byHostname: Index<MeshService>): (fetch: Fetch) => RouteContext {
  const { gateways, inputs, meshServices, serviceEntries, services, settings } = sources;
  const grantsIn = graph.index('reference grants by namespace', inputs.referenceGrants, (grant) => [
    namespaceOf(grant),
  ]);
  const ofMesh = (key: string, names: readonly { name: string; port: number }[], fetch: Fetch): RouteService => {
    const service = fetch.get(meshServices, key);
    return {
      key,
      ports:
        names.length > 0 ? names : (service?.ports ?? []).map(({ servicePort }) => ({ name: '', port: servicePort })),
      attachable: (service?.vips.length ?? 0) > 0,
      hasWaypoint: service?.waypoint !== undefined,
    };
  };
  const serviceOf = ({ kind, name, namespace }: Reference, fetch: Fetch): RouteService | undefined => {
    switch (kind) {
      case 'Service': {
        const service = fetch.get(services, `${namespace}/${name}`);
        if (service === undefined) return undefined;
        const host = hostnameOf(name, namespace, settingsIn(settings, fetch).domain);
        const ports = (service.spec?.ports ?? []).map(({ name: portName = '', port }) => ({ name: portName, port }));
        return ofMesh(`${namespace}/${host}`, ports, fetch);
      }
      case 'ServiceEntry': {
        const entry = fetch.get(serviceEntries, `${namespace}/${name}`);
        const host = entry?.spec?.hosts?.[0];
        if (host === undefined) return undefined;
        const ports = (entry?.spec?.ports ?? []).map(({ name: portName = '', number }) => ({
          name: portName,
          port: number,
        }));
        return ofMesh(`${namespace}/${host}`, ports, fetch);
      }
      case 'Hostname': {
        const [found] = fetch.lookup(byHostname, name);
        return found === undefined ? undefined : ofMesh(found.key, [], fetch);
      }
      default:
        return undefined;
    }
  };
  const listenersOf = ({ kind, name, namespace }: Reference, fetch: Fetch): readonly RouteListener[] | undefined => {
    const key = `${namespace}/${name}`;
    if (kind === 'ListenerSet') return fetch.get(gateways.listenerSets, key) === undefined ? undefined : [];
    if (kind !== 'Gateway') return undefined;
    const own = fetch.get(gateways.own, key);
    if (own === undefined) return fetch.get(gateways.others, key) === undefined ? undefined : [];
    const gateway = keyOf(own.gateway);
    // A waypoint's listener takes tunnels and no kind of route: routes of a mesh attach to Services.
    return (own.gateway.spec?.listeners ?? []).map(({ name: listener = '', port = 0 }) => ({
      name: listener,
      port,
      hostname: '',
      table: listenerTable(gateway, listener),
      kinds: [],
      admits: () => false,
    }));
  };
  return (fetch) => ({
    service: (reference) => serviceOf(reference, fetch),
    listeners: (reference) => listenersOf(reference, fetch),
    granted: (from, to) => isGranted(fetch.lookup(grantsIn, to.namespace), from, to),
    defaultRetry: DEFAULT_RETRY,
  });
}
