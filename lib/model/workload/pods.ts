// SPDX-License-Identifier: Apache-2.0
//
// Pods as workloads, with what other objects contribute to each.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { type Locality, NO_LOCALITY, type Workload } from '#lib/mesh/workload.ts';
import { GATEWAY_NAME, HTTP_METRICS, REGION, SAME_NODE, SUBZONE, ZONE } from '../object/names.ts';
import { annotation, type KubeObject, keyBeside, label, labelsOf, namespaceOf, spaceOf } from '../object/object.ts';
import type { Labels } from '../object/selector.ts';
import { type Place, placeOf, settingsIn } from '../scope.ts';
import { bindWaypoint, type WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { gatewayAddressOf } from '../waypoint/network-gateway.ts';
import { type MembershipSources, servicesOfPod } from './membership.ts';
import { podAddresses, podUid, podWorkload, serviceAccountOf } from './pod.ts';
import type { WorkloadSources } from './sources.ts';

/** Waypoints of pods, by the pod's key. */
export function bindPods(graph: Graph, { inputs, pods, waypoints }: WorkloadSources): Collection<WaypointBinding> {
  return graph.map('pod waypoints', pods, (pod, _key, fetch): WaypointBinding => {
    const account = fetch.get(inputs.serviceAccounts, keyBeside(pod, `${namespaceOf(pod)}/${serviceAccountOf(pod)}`));
    return bindWaypoint({ object: pod, account, traffic: 'workload' }, waypoints, inputs.namespaces, fetch);
  });
}

/** By uid. */
export function createPodWorkloads(
  graph: Graph,
  sources: WorkloadSources,
  membership: MembershipSources,
  podBindings: Collection<WaypointBinding>,
): Collection<Workload> {
  const { inputs, networks, pods, settings, waypoints } = sources;
  const localities = graph.map('localities', inputs.nodes, (node): Locality => {
    const labels = labelsOf(node);
    return { region: labels[REGION] ?? '', zone: labels[ZONE] ?? '', subzone: labels[SUBZONE] ?? '' };
  });
  return graph.flatMap('pod workloads', pods, (pod, key, fetch): [string, Workload][] => {
    if (podAddresses(pod).length === 0) return [];
    const mesh = settingsIn(settings, fetch);
    const place = placeOf(pod, mesh, networks, fetch);
    // A waypoint's own pods have no waypoint, but perhaps a tunnel to the program in them.
    const front = frontedBy(pod, waypoints, fetch);
    const binding = front === undefined ? fetch.get(podBindings, key) : undefined;
    const workload = podWorkload(pod, {
      network: place.network,
      clusterId: place.clusterId,
      trustDomain: mesh.trustDomain,
      locality: fetch.get(localities, keyBeside(pod, pod.spec?.nodeName ?? '')) ?? NO_LOCALITY,
      services: servicesOfPod(pod, membership, mesh.entriesSelectPods, fetch),
      waypoint: binding?.waypoint?.address,
      applicationTunnel: front?.tunnel,
      ...commonSurroundings(pod, labelsOf(pod), place, binding, sources, fetch),
    });
    return workload === undefined ? [] : [[podUid(pod, place.clusterId), workload]];
  });
}

/** The waypoint whose own workload this is. */
export function frontedBy(object: KubeObject, waypoints: Collection<Waypoint>, fetch: Fetch): Waypoint | undefined {
  const name = label(object, GATEWAY_NAME);
  return name === undefined ? undefined : fetch.get(waypoints, keyBeside(object, `${namespaceOf(object)}/${name}`));
}

/** What every kind of workload with an identity gets in the same way. */
export function commonSurroundings(
  object: KubeObject,
  labels: Labels,
  { network }: Place,
  binding: WaypointBinding | undefined,
  { inputs, networkGateways, policies }: WorkloadSources,
  fetch: Fetch,
): Pick<Workload, 'networkGateway' | 'authorizationPolicies' | 'sameNodeTunnel' | 'httpMetrics'> {
  const gateway = networkGateways.of(network, fetch);
  const space = fetch.get(inputs.namespaces, spaceOf(object));
  return {
    networkGateway: gateway === undefined ? undefined : gatewayAddressOf(gateway),
    authorizationPolicies: policies.boundTo(
      { namespace: namespaceOf(object), labels, waypoint: binding?.waypoint },
      fetch,
    ),
    sameNodeTunnel: space !== undefined && annotation(space, SAME_NODE) === 'tunnel',
    httpMetrics: space !== undefined && label(space, HTTP_METRICS) === 'enabled',
  };
}
