// SPDX-License-Identifier: Apache-2.0
//
// What workloads are made of.

import type { Collection } from '#lib/collections/collection.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { ServiceEntry, WorkloadEntry } from '../object/entry.ts';
import type { EndpointSlice, Pod } from '../object/object.ts';
import type { PolicyCollections } from '../policy/policies.ts';
import type { WinningHost } from '../service/entry-hosts.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import type { NetworkGateways } from '../waypoint/network-gateway.ts';
import type { ServiceSelector } from './membership.ts';

export interface WorkloadSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly networks: Collection<string>;
  readonly pods: Collection<Pod>;
  readonly slices: Collection<EndpointSlice>;
  readonly workloadEntries: Collection<WorkloadEntry>;
  readonly serviceEntries: Collection<ServiceEntry>;
  readonly winners: Collection<WinningHost>;
  readonly selectors: Collection<ServiceSelector>;
  readonly waypoints: Collection<Waypoint>;
  readonly networkGateways: NetworkGateways;
  readonly policies: PolicyCollections;
}
