// SPDX-License-Identifier: Apache-2.0
//
// WorkloadEntries and endpoints of ServiceEntries as workloads, with what other objects contribute to each.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { PortMapping, ServiceKey, Workload } from '#lib/mesh/workload.ts';
import type { ServiceEntry, WorkloadEntry, WorkloadSpec } from '../object/entry.ts';
import { keyBeside, labelsOf, namespaceOf } from '../object/object.ts';
import { type Place, placeOf, settingsIn } from '../scope.ts';
import { type EntryHost, entryPorts, resolutionOf, type WinningHost } from '../service/entry-hosts.ts';
import { bindWaypoint, type WaypointBinding } from '../waypoint/binding.ts';
import { endpointWorkload, entryLabels, entryUid, entryWorkload, isReachable } from './machine.ts';
import { type MembershipSources, ordered, portsOnMachine, type ServiceSelector, selectedBy } from './membership.ts';
import { commonSurroundings, frontedBy } from './pods.ts';
import type { WorkloadSources } from './sources.ts';

/** Waypoints of WorkloadEntries, by the entry's key. */
export function bindEntries(graph: Graph, sources: WorkloadSources): Collection<WaypointBinding> {
  const { inputs, waypoints, workloadEntries } = sources;
  return graph.map('workload entry waypoints', workloadEntries, (entry, _key, fetch): WaypointBinding => {
    const account = fetch.get(
      inputs.serviceAccounts,
      keyBeside(entry, `${namespaceOf(entry)}/${entry.spec?.serviceAccount ?? 'default'}`),
    );
    const request = { object: entry, labels: entryLabels(entry), account, traffic: 'workload' } as const;
    return bindWaypoint(request, waypoints, inputs.namespaces, fetch);
  });
}

/** By uid. */
export function createEntryWorkloads(
  graph: Graph,
  sources: WorkloadSources,
  membership: MembershipSources,
  bindings: Collection<WaypointBinding>,
): Collection<Workload> {
  const { networks, settings, waypoints, workloadEntries } = sources;
  return graph.flatMap('entry workloads', workloadEntries, (entry, key, fetch): [string, Workload][] => {
    const { address, network = '' } = entry.spec ?? {};
    if (!isReachable(address) || (address === undefined && network === '')) return [];
    const mesh = settingsIn(settings, fetch);
    const place = placeIn(entry.spec, placeOf(entry, mesh, networks, fetch));
    const labels = entryLabels(entry);
    const front = frontedBy(entry, waypoints, fetch);
    const binding = front === undefined ? fetch.get(bindings, key) : undefined;
    const services = servicesOfEntry(entry, membership, mesh.servicesSelectEntries, fetch);
    const around = {
      ...place,
      trustDomain: mesh.trustDomain,
      services,
      waypoint: binding?.waypoint?.address,
      applicationTunnel: front?.tunnel,
      ...commonSurroundings(entry, labels, place, binding, sources, fetch),
    };
    return [[entryUid(entry, place.clusterId), entryWorkload(entry, around, mesh.entryHealth)]];
  });
}

function servicesOfEntry(
  entry: WorkloadEntry,
  membership: MembershipSources,
  kubernetes: boolean,
  fetch: Fetch,
): ReadonlyMap<ServiceKey, readonly PortMapping[]> {
  const portsOn = (service: ServiceSelector): PortMapping[] | undefined =>
    service.of === 'service' && !kubernetes ? undefined : portsOnMachine(entry.spec, service);
  return ordered(selectedBy(entry, entryLabels(entry), membership.selectors, portsOn, fetch));
}

/** A machine may lie in another network than its object. */
function placeIn(spec: WorkloadSpec | undefined, place: Place): Place {
  const network = spec?.network ?? '';
  return { clusterId: place.clusterId, network: network === '' ? place.network : network };
}

const RESOLVED_BY_NAME: ReadonlySet<string> = new Set(['DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']);

/** Endpoints as written, else, where names are resolved and nothing is selected, each host itself. */
function endpointsOf(
  entry: ServiceEntry,
  hosts: readonly EntryHost[],
): readonly (WorkloadSpec & { implicit?: true })[] {
  const { endpoints = [], workloadSelector } = entry.spec ?? {};
  if (endpoints.length > 0) return endpoints;
  if (workloadSelector !== undefined || !RESOLVED_BY_NAME.has(resolutionOf(entry))) return [];
  return hosts.map(({ host }) => ({ address: host, implicit: true as const }));
}

/** Workloads of ServiceEntries' own endpoints, by uid. An entry that lost all its hosts to others has none. */
export function createEndpointWorkloads(
  graph: Graph,
  sources: WorkloadSources,
  entries: Collection<ServiceEntry>,
  winners: Collection<WinningHost>,
): Collection<Workload> {
  const { inputs, networks, settings, waypoints } = sources;
  return graph.flatMap('endpoint workloads', entries, (entry, _key, fetch): [string, Workload][] => {
    const namespace = namespaceOf(entry);
    const hosts = [...new Set(entry.spec?.hosts ?? [])]
      .map((host) => fetch.get(winners, `${namespace}/${host}`))
      .filter((one): one is WinningHost => one?.entry === entry);
    if (hosts.length === 0) return [];
    const mesh = settingsIn(settings, fetch);
    const home = placeOf(entry, mesh, networks, fetch);
    return endpointsOf(entry, hosts).flatMap((endpoint): [string, Workload][] => {
      if (endpoint.address === undefined || !isReachable(endpoint.address)) return [];
      const place = placeIn(endpoint, home);
      const request = {
        object: entry,
        labels: endpoint.labels ?? {},
        account: undefined,
        traffic: 'workload',
      } as const;
      const binding =
        endpoint.implicit === true ? undefined : bindWaypoint(request, waypoints, inputs.namespaces, fetch);
      const serves = endpoint.implicit === true ? hosts.filter(({ host }) => host === endpoint.address) : hosts;
      const ports = portsOnMachine(endpoint, endpointService(entry));
      const workload = endpointWorkload(entry, endpoint, {
        ...place,
        trustDomain: mesh.trustDomain,
        services: ordered(serves.map(({ key }) => [key, ports] as const)),
        waypoint: binding?.waypoint?.address,
        applicationTunnel: undefined,
        ...commonSurroundings(entry, labelsOf(entry), place, binding, sources, fetch),
      });
      return [[workload.uid, workload]];
    });
  });
}

/** The ports of an entry in the form in which machines are asked for theirs. */
function endpointService(entry: ServiceEntry): ServiceSelector {
  const ports = entryPorts(entry).map(({ name, number, targetPort }) => ({
    port: number,
    ...(name !== undefined && { name }),
    ...(targetPort !== undefined && { targetPort }),
  }));
  return { key: '', name: entry.metadata.name, space: '', of: 'entry', selector: undefined, ports };
}
