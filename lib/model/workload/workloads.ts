// SPDX-License-Identifier: Apache-2.0
//
// All workloads, as collections: pods, WorkloadEntries, endpoints of ServiceEntries, addresses of EndpointSlices that
// are no pods, and gateways to other networks with what lies behind them.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { SLICE_SERVICE } from '../object/names.ts';
import { keyBeside, label, namespaceOf, spaceOf } from '../object/object.ts';
import { selectorKey } from '../object/selector.ts';
import { placeOf, settingsIn } from '../scope.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import { coalesce, gatewayWorkload } from './distant.ts';
import { bindEntries, createEndpointWorkloads, createEntryWorkloads } from './machines.ts';
import type { MembershipSources } from './membership.ts';
import { bindPods, createPodWorkloads } from './pods.ts';
import { sliceWorkloads } from './slice.ts';
import type { WorkloadSources } from './sources.ts';

export interface WorkloadCollections {
  /** By uid. */
  readonly workloads: Collection<Workload>;
  /** Those that are pods, by uid. */
  readonly podWorkloads: Collection<Workload>;
  /** Pods of other clusters and networks, by uid: not among the workloads, but behind their services. */
  readonly distant: Collection<Workload>;
  /** Waypoints of pods, by the pod's key. */
  readonly podBindings: Collection<WaypointBinding>;
  /** Waypoints of WorkloadEntries, by the entry's key. */
  readonly entryBindings: Collection<WaypointBinding>;
}

export function createWorkloads(graph: Graph, sources: WorkloadSources): WorkloadCollections {
  const { networkGateways, networks, serviceEntries, settings, slices, winners } = sources;
  const membership = createMembership(graph, sources);
  const podBindings = bindPods(graph, sources);
  const podWorkloads = createPodWorkloads(graph, sources, membership, podBindings);
  const entryBindings = bindEntries(graph, sources);
  const entries = createEntryWorkloads(graph, sources, membership, entryBindings);
  const endpoints = createEndpointWorkloads(graph, sources, serviceEntries, winners);
  const selectorOf = graph.index('selectors by service', sources.selectors, ({ name, of, space }) =>
    of === 'service' ? [`${space}/${name}`] : [],
  );
  const outside = graph.flatMap('slice workloads', slices, (slice, _key, fetch) => {
    const name = label(slice, SLICE_SERVICE) ?? '';
    const service = fetch.lookup(selectorOf, `${spaceOf(slice)}/${name}`)[0];
    if (service === undefined) return [];
    const mesh = settingsIn(settings, fetch);
    return sliceWorkloads(slice, service, {
      ...placeOf(slice, mesh, networks, fetch),
      trustDomain: mesh.trustDomain,
    });
  });
  // A pod of another network cannot be dialled; its network's gateway can.
  const isDistant = ({ clusterId, network }: Workload, fetch: Fetch): boolean => {
    const mesh = settingsIn(settings, fetch);
    return clusterId !== mesh.clusterId && network !== mesh.network;
  };
  const distant = graph.filter('distant pods', podWorkloads, (pod, _key, fetch) => isDistant(pod, fetch));
  const near = graph.filter('near pods', podWorkloads, (pod, _key, fetch) => !isDistant(pod, fetch));
  const gateways = graph.map('network gateway workloads', networkGateways.gateways, (gateway, _key, fetch) =>
    gatewayWorkload(gateway, settingsIn(settings, fetch).trustDomain),
  );
  const coalesced = coalesce(graph, distant, networkGateways);
  return {
    workloads: graph.union('workloads', [near, entries, endpoints, outside, gateways, coalesced]),
    podWorkloads,
    distant,
    podBindings,
    entryBindings,
  };
}

function createMembership(graph: Graph, { selectors, slices }: WorkloadSources): MembershipSources {
  return {
    selectors: graph.index('services by selector', selectors, ({ selector, space }) =>
      selector === undefined ? [] : [selectorKey(space, selector)],
    ),
    selectorless: graph.index('services without selector', selectors, ({ name, of, selector, space }) =>
      of === 'service' && selector === undefined ? [`${space}/${name}`] : [],
    ),
    slicesByPod: graph.index('endpoint slices by pod', slices, (slice) =>
      (slice.endpoints ?? []).flatMap(({ targetRef }) =>
        targetRef?.kind === 'Pod'
          ? [keyBeside(slice, `${targetRef.namespace ?? namespaceOf(slice)}/${targetRef.name ?? ''}`)]
          : [],
      ),
    ),
  };
}
