// SPDX-License-Identifier: Apache-2.0
//
// What reports are made of.

import type { Collection } from '#lib/collections/collection.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { ServiceEntry, WorkloadEntry } from '../object/entry.ts';
import type { Pod, Service } from '../object/object.ts';
import type { ConvertedPolicy } from '../policy/authorization-policy.ts';
import type { AuthorizationPolicy } from '../policy/authorization-spec.ts';
import type { PeerAuthentication } from '../policy/peer-authentication.ts';
import type { TelemetryObject } from '../telemetry/telemetry-spec.ts';
import type { SchemaChecker } from '../validate/schema.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';

export interface ReportSources {
  readonly telemetries: Collection<TelemetryObject>;
  readonly schemas: SchemaChecker;
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
  readonly peerAuthentications: Collection<PeerAuthentication>;
  readonly pods: Collection<Pod>;
  readonly services: Collection<Service>;
  readonly waypoints: Collection<Waypoint>;
  readonly converted: Collection<ConvertedPolicy>;
  readonly podBindings: Collection<WaypointBinding>;
  readonly serviceBindings: Collection<WaypointBinding>;
  readonly serviceEntries: Collection<ServiceEntry>;
  readonly workloadEntries: Collection<WorkloadEntry>;
  /** By the ServiceEntry's key. */
  readonly hostBindings: Collection<WaypointBinding>;
  /** By the WorkloadEntry's key. */
  readonly entryBindings: Collection<WaypointBinding>;
}
