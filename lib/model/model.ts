// SPDX-License-Identifier: Apache-2.0
//
// The whole model: Kubernetes objects in, the mesh and the resources that describe it out, as a graph in which one
// changed object recomputes what depends on it. istiod fills the inputs from watches, `ambit validate` from files.
//
//   namespaces, nodes, gateways ─┐    pods' workloads ──┐
//   services ── selectors ───────┼─▶ entries' workloads ┼─▶ address resources
//   policies ── bound keys ──────┘   slices' workloads ─┤
//   services, entries ── waypoints ──────▶ services ────┘
//   policies ──────────────────────────▶ policies ─────▶ authorization resources
//   everything ────────────────────────────────────────▶ reports (conditions, problems)

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { createGateways, type GatewayCollections } from './gateway/gateways.ts';
import type { EffectiveSettings, ModelInputs } from './inputs.ts';
import { createLayer7, type Layer7Collections } from './l7/layer-7.ts';
import { WaypointsOfServices } from './l7/scoped.ts';
import type { KubeObject } from './object/object.ts';
import { createPolicies } from './policy/policies.ts';
import { createReports, type ObjectReport } from './report/reports.ts';
import { createOwnership, type OwnershipCollection } from './revision.ts';
import { createRoutes, type RouteStatus } from './route/routes.ts';
import {
  discovered,
  discoveredConfig,
  effectiveSettings,
  placeOf,
  remoteNetworks,
  servicesInScope,
  settingsIn,
} from './scope.ts';
import { createEntryHosts } from './service/entry-hosts.ts';
import { createServices } from './service/services.ts';
import { SchemaChecker } from './validate/schema.ts';
import { type Waypoint, waypointOf } from './waypoint/gateway.ts';
import { createNetworkGateways, type NetworkGateway } from './waypoint/network-gateway.ts';
import { type EncodedResource, encodePolicy, encodeService, encodeWorkload } from './wds/encode.ts';
import { serviceSelector } from './workload/membership.ts';
import { createWorkloads } from './workload/workloads.ts';

export interface Model {
  readonly settings: Collection<EffectiveSettings>;
  readonly ownership: OwnershipCollection;
  /** By uid. */
  readonly workloads: Collection<Workload>;
  /** By `namespace/hostname`. */
  readonly services: Collection<MeshService>;
  /** By `namespace/name`. */
  readonly policies: Collection<Policy>;
  /** By `namespace/name` of the Gateway. */
  readonly waypoints: Collection<Waypoint>;
  /** Into other networks, by uid. */
  readonly networkGateways: Collection<NetworkGateway>;
  /** Workloads and services as WDS Address resources, by resource name. */
  readonly addressResources: Collection<EncodedResource>;
  /** Policies as Authorization resources, by resource name. */
  readonly authorizationResources: Collection<EncodedResource>;
  /** What is to run for Gateways, and what they and their classes are told. */
  readonly gateways: GatewayCollections;
  /** What waypoints are told beside WDS. */
  readonly layer7: Layer7Collections;
  /** What each parent of a route is told, by `Kind namespace/name`. */
  readonly routeStatuses: Collection<RouteStatus>;
  /** What the authors of objects are told, by `Kind namespace/name`. */
  readonly reports: Collection<ObjectReport>;
}

const BY_VERSION = {
  equals: (a: EncodedResource, b: EncodedResource): boolean => a.version === b.version && a.name === b.name,
};

/** @param schemas shared by callers that check objects beside the model */
export function createModel(graph: Graph, inputs: ModelInputs, schemas = new SchemaChecker()): Model {
  const settings = effectiveSettings(graph, inputs);
  const networks = remoteNetworks(graph, inputs);
  const ownership = createOwnership(graph, inputs, settings);
  const pods = discovered(graph, 'pods', inputs.pods, inputs, settings);
  const known = discovered(graph, 'services', inputs.services, inputs, settings);
  const services = servicesInScope(graph, known, inputs, settings);
  const slices = discovered(graph, 'endpoint slices', inputs.endpointSlices, inputs, settings);
  const gateways = discovered(graph, 'gateways', inputs.gateways, inputs, settings);
  const config = <T extends KubeObject>(name: string, objects: Collection<T>): Collection<T> =>
    discoveredConfig(graph, name, objects, inputs, settings, ownership);
  const authorizationPolicies = config('authorization policies', inputs.authorizationPolicies);
  const telemetries = config('telemetries', inputs.telemetries);
  const proxyConfigs = config('proxy configs', inputs.proxyConfigs);
  const peerAuthentications = config('peer authentications', inputs.peerAuthentications);
  const serviceEntries = config('service entries', inputs.serviceEntries);
  const workloadEntries = config('workload entries', inputs.workloadEntries);
  const waypoints = graph.map('waypoints', gateways, (gateway, _key, fetch) => {
    const gatewayClass = fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? '');
    return waypointOf(gateway, gatewayClass, placeOf(gateway, settingsIn(settings, fetch), networks, fetch).network);
  });
  const networkGateways = createNetworkGateways(graph, gateways, (fetch) => settingsIn(settings, fetch).clusterId);
  const { selectors, winners } = createEntryHosts(graph, {
    inputs,
    settings,
    entries: serviceEntries,
    services: graph.map('service selectors', services, (service, _key, fetch) =>
      serviceSelector(service, settingsIn(settings, fetch).domain),
    ),
  });
  const { boundTo, converted, policies } = createPolicies(graph, {
    authorizationPolicies,
    peerAuthentications,
    waypoints,
    settings,
  });
  const { distant, entryBindings, podBindings, podWorkloads, workloads } = createWorkloads(graph, {
    inputs,
    settings,
    networks,
    pods,
    slices,
    workloadEntries,
    serviceEntries,
    winners,
    selectors,
    waypoints,
    networkGateways,
    policies: { boundTo, converted, policies },
  });
  const meshServices = createServices(graph, {
    inputs,
    settings,
    networks,
    services,
    entries: serviceEntries,
    winners,
    podWorkloads,
    distant,
    waypoints,
  });
  const ownGateways = createGateways(graph, {
    ...{ inputs, settings, ownership, gateways, pods, services, proxyConfigs },
    listenerSets: config('listener sets in scope', inputs.listenerSets),
  });
  const fronts = new WaypointsOfServices(graph, meshServices.services, waypoints);
  const routes = createRoutes(graph, {
    inputs,
    settings,
    gateways: ownGateways,
    services,
    serviceEntries,
    meshServices: meshServices.services,
    fronts,
    httpRoutes: config('http routes', inputs.httpRoutes),
    grpcRoutes: config('grpc routes', inputs.grpcRoutes),
    tlsRoutes: config('tls routes', inputs.tlsRoutes),
    tcpRoutes: config('tcp routes', inputs.tcpRoutes),
    virtualServices: config('virtual services', inputs.virtualServices),
  });
  return {
    settings,
    ownership,
    workloads,
    services: meshServices.services,
    policies,
    waypoints,
    networkGateways: networkGateways.gateways,
    addressResources: graph.union('address resources', [
      graph.map('workload resources', workloads, encodeWorkload, BY_VERSION),
      graph.map('service resources', meshServices.services, encodeService, BY_VERSION),
    ]),
    authorizationResources: graph.map('authorization resources', policies, encodePolicy, BY_VERSION),
    gateways: ownGateways,
    layer7: createLayer7(graph, {
      settings,
      ownGateways: ownGateways.own,
      serviceEntries,
      fronts,
      tables: routes.tables,
      services: meshServices.services,
      members: meshServices.members,
      destinationRules: config('destination rules', inputs.destinationRules),
      authorizationPolicies,
      requestAuthentications: config('request authentications', inputs.requestAuthentications),
      keySets: inputs.keySets,
      telemetries,
      policies: config('backend tls policies', inputs.backendTlsPolicies),
      backendTrafficPolicies: config('backend traffic policies', inputs.backendTrafficPolicies),
      serviceOf: routes.serviceOf,
      namedData: inputs.namedData,
      pods,
    }),
    routeStatuses: routes.statuses,
    reports: createReports(graph, {
      schemas,
      inputs,
      settings,
      authorizationPolicies,
      telemetries,
      peerAuthentications,
      pods,
      services,
      waypoints,
      converted,
      podBindings,
      serviceBindings: meshServices.bindings,
      serviceEntries,
      workloadEntries,
      hostBindings: meshServices.entryBindings,
      entryBindings,
    }),
  };
}
