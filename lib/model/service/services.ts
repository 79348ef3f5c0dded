// SPDX-License-Identifier: Apache-2.0
//
// All services, as collections, with the waypoints they are bound to.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import { INGRESS_USE_WAYPOINT } from '../object/names.ts';
import { keyOf, label, type Namespace, namespaceOf, type Service } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import { bindWaypoint, type WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { hostnameOf } from '../workload/membership.ts';
import { meshService } from './service.ts';

export interface ServiceSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly services: Collection<Service>;
  readonly podWorkloads: Collection<Workload>;
  readonly waypoints: Collection<Waypoint>;
}

export interface ServiceCollections {
  /** By `namespace/hostname`. */
  readonly services: Collection<MeshService>;
  /** By the Service's own key. */
  readonly bindings: Collection<WaypointBinding>;
}

export function createServices(graph: Graph, sources: ServiceSources): ServiceCollections {
  const { inputs, podWorkloads, services, settings, waypoints } = sources;
  const members = graph.index('pod workloads by service', podWorkloads, (workload) => workload.services.keys());
  // The one account all of a service's pods run as, so that its label counts for the service.
  const accounts = graph.group('service accounts of services', members, (workloads) => {
    const [first] = workloads;
    const same = workloads.every((workload) => workload.serviceAccount === first?.serviceAccount);
    return same ? first?.serviceAccount : undefined;
  });
  const bindings = graph.map('service waypoints', services, (service, _key, fetch): WaypointBinding => {
    const namespace = namespaceOf(service);
    const { domain } = settingsIn(settings, fetch);
    const name = fetch.get(accounts, `${namespace}/${hostnameOf(service.metadata.name, namespace, domain)}`);
    const account = name === undefined ? undefined : fetch.get(inputs.serviceAccounts, `${namespace}/${name}`);
    return bindWaypoint(
      { namespace, object: service, account, traffic: 'service' },
      waypoints,
      inputs.namespaces,
      fetch,
    );
  });
  const meshServices = graph.flatMap('services', services, (service, _key, fetch): [string, MeshService][] => {
    const { domain, network } = settingsIn(settings, fetch);
    const namespace = fetch.get(inputs.namespaces, namespaceOf(service));
    const binding = fetch.get(bindings, keyOf(service));
    const bound = binding?.waypoint !== undefined;
    const out = meshService(service, {
      network,
      domain,
      namespace,
      waypoint: binding?.waypoint?.address,
      weightedWaypoints: binding?.weighted ?? [],
      ingressUseWaypoint: bound && ingressUsesWaypoint(service, namespace),
    });
    return out === undefined ? [] : [[out.key, out]];
  });
  return { services: meshServices, bindings };
}

export function ingressUsesWaypoint(service: Service, namespace: Namespace | undefined): boolean {
  const wish = label(service, INGRESS_USE_WAYPOINT) ?? (namespace && label(namespace, INGRESS_USE_WAYPOINT));
  return wish === 'true';
}
