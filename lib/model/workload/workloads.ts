// SPDX-License-Identifier: Apache-2.0
//
// All workloads, as collections: pods, and addresses of EndpointSlices that are no pods.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { type Locality, NO_LOCALITY, type Workload } from '#lib/mesh/workload.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import { GATEWAY_NAME, REGION, SAME_NODE, SLICE_SERVICE, SUBZONE, ZONE } from '../object/names.ts';
import { annotation, type EndpointSlice, label, labelsOf, namespaceOf, type Pod } from '../object/object.ts';
import { selectorKey } from '../object/selector.ts';
import type { PolicyCollections } from '../policy/policies.ts';
import { settingsIn } from '../scope.ts';
import { bindWaypoint, type WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { type MembershipSources, type ServiceSelector, servicesOf } from './membership.ts';
import { podAddresses, podUid, podWorkload, serviceAccountOf } from './pod.ts';
import { sliceWorkloads } from './slice.ts';

export interface WorkloadSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly pods: Collection<Pod>;
  readonly slices: Collection<EndpointSlice>;
  readonly selectors: Collection<ServiceSelector>;
  readonly waypoints: Collection<Waypoint>;
  readonly policies: PolicyCollections;
}

export interface WorkloadCollections {
  /** By uid. */
  readonly workloads: Collection<Workload>;
  /** Those that are pods, by uid. */
  readonly podWorkloads: Collection<Workload>;
  /** Waypoints of pods, by the pod's key. */
  readonly podBindings: Collection<WaypointBinding>;
}

export function createWorkloads(graph: Graph, sources: WorkloadSources): WorkloadCollections {
  const { inputs, policies, pods, settings, slices, waypoints } = sources;
  const membership = createMembership(graph, sources);
  const localities = graph.map('localities', inputs.nodes, (node): Locality => {
    const labels = labelsOf(node);
    return { region: labels[REGION] ?? '', zone: labels[ZONE] ?? '', subzone: labels[SUBZONE] ?? '' };
  });
  const podBindings = graph.map('pod waypoints', pods, (pod, _key, fetch): WaypointBinding => {
    const namespace = namespaceOf(pod);
    const account = fetch.get(inputs.serviceAccounts, `${namespace}/${serviceAccountOf(pod)}`);
    return bindWaypoint({ namespace, object: pod, account, traffic: 'workload' }, waypoints, inputs.namespaces, fetch);
  });
  const podWorkloads = graph.flatMap('pod workloads', pods, (pod, key, fetch): [string, Workload][] => {
    if (podAddresses(pod).length === 0) return [];
    const mesh = settingsIn(settings, fetch);
    const namespace = namespaceOf(pod);
    const space = fetch.get(inputs.namespaces, namespace);
    // A waypoint's own pods have no waypoint, but perhaps a tunnel to the program in them.
    const gatewayName = label(pod, GATEWAY_NAME);
    const front = gatewayName === undefined ? undefined : fetch.get(waypoints, `${namespace}/${gatewayName}`);
    const binding = front === undefined ? fetch.get(podBindings, key) : undefined;
    const workload = podWorkload(pod, {
      network: mesh.network,
      clusterId: mesh.clusterId,
      trustDomain: mesh.trustDomain,
      locality: fetch.get(localities, pod.spec?.nodeName ?? '') ?? NO_LOCALITY,
      services: servicesOf(pod, membership, fetch),
      waypoint: binding?.waypoint?.address,
      applicationTunnel: front?.tunnel,
      authorizationPolicies: policies.boundTo({ namespace, labels: labelsOf(pod), waypoint: binding?.waypoint }, fetch),
      sameNodeTunnel: space !== undefined && annotation(space, SAME_NODE) === 'tunnel',
    });
    return workload === undefined ? [] : [[podUid(pod, mesh.clusterId), workload]];
  });
  const selectorOf = graph.index('selectors by service', sources.selectors, ({ name, namespace }) => [
    `${namespace}/${name}`,
  ]);
  const outside = graph.flatMap('slice workloads', slices, (slice, _key, fetch) => {
    const service = fetch.lookup(selectorOf, `${namespaceOf(slice)}/${label(slice, SLICE_SERVICE) ?? ''}`)[0];
    return service === undefined ? [] : sliceWorkloads(slice, service, settingsIn(settings, fetch));
  });
  return { workloads: graph.union('workloads', [podWorkloads, outside]), podWorkloads, podBindings };
}

function createMembership(graph: Graph, { selectors, slices }: WorkloadSources): MembershipSources {
  return {
    selectors: graph.index('services by selector', selectors, ({ namespace, selector }) =>
      selector === undefined ? [] : [selectorKey(namespace, selector)],
    ),
    selectorless: graph.index('services without selector', selectors, ({ name, namespace, selector }) =>
      selector === undefined ? [`${namespace}/${name}`] : [],
    ),
    slicesByPod: graph.index('endpoint slices by pod', slices, (slice) =>
      (slice.endpoints ?? []).flatMap(({ targetRef }) =>
        targetRef?.kind === 'Pod' ? [`${targetRef.namespace ?? namespaceOf(slice)}/${targetRef.name ?? ''}`] : [],
      ),
    ),
  };
}
