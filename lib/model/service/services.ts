// SPDX-License-Identifier: Apache-2.0
//
// All services, as collections, with the waypoints they are bound to.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import { identityOf, type Workload } from '#lib/mesh/workload.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { INGRESS_USE_WAYPOINT } from '../object/names.ts';
import {
  type KubeObject,
  keyBeside,
  keyOf,
  label,
  type Namespace,
  namespaceOf,
  type Service,
  spaceOf,
} from '../object/object.ts';
import { placeOf, settingsIn } from '../scope.ts';
import { bindWaypoint, type WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { hostnameOf } from '../workload/membership.ts';
import type { WinningHost } from './entry-hosts.ts';
import { mergeServices, type ServiceCandidate } from './merge.ts';
import { entryService, meshService, type ServiceSurroundings } from './service.ts';
import { visibilityIn } from './visibility.ts';

export interface ServiceSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly networks: Collection<string>;
  readonly services: Collection<Service>;
  readonly entries: Collection<ServiceEntry>;
  readonly winners: Collection<WinningHost>;
  readonly podWorkloads: Collection<Workload>;
  /** Workloads of other networks, which are reached through their gateways. */
  readonly distant: Collection<Workload>;
  readonly waypoints: Collection<Waypoint>;
}

export interface ServiceCollections {
  /** By `namespace/hostname`. */
  readonly services: Collection<MeshService>;
  /** By the Service's own key. */
  readonly bindings: Collection<WaypointBinding>;
  /** By the ServiceEntry's own key. */
  readonly entryBindings: Collection<WaypointBinding>;
  /** Pods' workloads by the keys of their services. */
  readonly members: Index<Workload>;
}

export function createServices(graph: Graph, sources: ServiceSources): ServiceCollections {
  const { distant, entries, inputs, networks, podWorkloads, services, settings, waypoints, winners } = sources;
  const members = graph.index('pod workloads by service', podWorkloads, (workload) => workload.services.keys());
  // The one account all of a service's pods run as, so that its label counts for the service.
  const accounts = graph.group('service accounts of services', members, (workloads) => {
    const [first] = workloads;
    const same = workloads.every((workload) => workload.serviceAccount === first?.serviceAccount);
    return same ? first?.serviceAccount : undefined;
  });
  const accountOf = (object: KubeObject, host: string, fetch: Fetch): KubeObject | undefined => {
    const namespace = namespaceOf(object);
    const name = fetch.get(accounts, `${namespace}/${host}`);
    return name === undefined
      ? undefined
      : fetch.get(inputs.serviceAccounts, keyBeside(object, `${namespace}/${name}`));
  };
  const bindings = graph.map('service waypoints', services, (service, _key, fetch): WaypointBinding => {
    const { domain } = settingsIn(settings, fetch);
    const account = accountOf(service, hostnameOf(service.metadata.name, namespaceOf(service), domain), fetch);
    return bindWaypoint({ object: service, account, traffic: 'service' }, waypoints, inputs.namespaces, fetch);
  });
  const entryBindings = graph.map('entry waypoints', entries, (entry, _key, fetch): WaypointBinding => {
    const space = fetch.get(inputs.namespaces, spaceOf(entry));
    const confined = visibilityIn(space, settingsIn(settings, fetch)) === 'namespace';
    const account = accountOf(entry, entry.spec?.hosts?.[0] ?? '', fetch);
    const request = { object: entry, account, traffic: 'service', confined } as const;
    return bindWaypoint(request, waypoints, inputs.namespaces, fetch);
  });
  const around = (object: KubeObject, binding: WaypointBinding | undefined, fetch: Fetch): ServiceSurroundings => {
    const mesh = settingsIn(settings, fetch);
    const namespace = fetch.get(inputs.namespaces, spaceOf(object));
    return {
      network: placeOf(object, mesh, networks, fetch).network,
      domain: mesh.domain,
      namespace,
      waypoint: binding?.waypoint?.address,
      weightedWaypoints: binding?.weighted ?? [],
      ingressUseWaypoint: binding?.waypoint !== undefined && ingressUsesWaypoint(object, namespace),
    };
  };
  const ofKube = graph.flatMap('kube services', services, (service, key, fetch): [string, ServiceCandidate][] => {
    const out = meshService(service, around(service, fetch.get(bindings, key), fetch));
    return out === undefined ? [] : [[key, { rank: service.cluster === undefined ? 0 : 2, service: out }]];
  });
  const ofEntries = graph.flatMap('hosts of entries', winners, (host, key, fetch): [string, ServiceCandidate][] => {
    const binding = fetch.get(entryBindings, keyOf(host.entry));
    return [[`entry ${key}`, { rank: 1, service: entryService(host, around(host.entry, binding, fetch)) }]];
  });
  const candidates = graph.index(
    'services by name',
    graph.union('service candidates', [ofKube, ofEntries]),
    ({ service }) => [service.key],
  );
  const distantOf = graph.index('distant workloads by service', distant, (workload) => workload.services.keys());
  const meshServices = graph.group('services', candidates, (list, key, fetch) => {
    const identities = new Set(fetch.lookup(distantOf, key).map((workload) => identityOf(workload).uri));
    return mergeServices(list, [...identities].sort());
  });
  return { services: meshServices, bindings, entryBindings, members };
}

export function ingressUsesWaypoint(object: KubeObject, namespace: Namespace | undefined): boolean {
  const wish = label(object, INGRESS_USE_WAYPOINT) ?? (namespace && label(namespace, INGRESS_USE_WAYPOINT));
  return wish === 'true';
}
