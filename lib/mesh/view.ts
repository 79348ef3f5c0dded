// SPDX-License-Identifier: Apache-2.0
//
// What a decision may ask about the mesh. A data-plane process answers from records in shared memory, the control
// plane and the CLI from maps; decisions do not know which. Within one decision the answers are of one moment.

import type { Ip } from './ip.ts';
import type { Policy } from './policy.ts';
import type { Endpoint, Service } from './service.ts';
import type { ServiceKey, Workload, WorkloadUid } from './workload.ts';

export interface MeshView {
  /**
   * The workload that owns an address on a network. Host-network workloads are never found; of several owners a pod
   * wins over other kinds, then one that speaks HBONE over one that does not.
   */
  workloadByAddress(network: string, ip: Ip): Workload | undefined;
  workloadByUid(uid: WorkloadUid): Workload | undefined;
  /** The workload whose `hostname` and namespace are these. */
  workloadByHostname(namespace: string, hostname: string): Workload | undefined;
  /**
   * The service of a virtual address as clients of `clientNamespace` see it. An exact address before a range; services
   * invisible to the client are left out; then the client's own namespace, then canonical, then first. Ranges rank by
   * (own namespace, longer prefix, canonical).
   */
  serviceByAddress(network: string, ip: Ip, clientNamespace: string): Service | undefined;
  /** The service of a host name, with the same preference. Exact match only; wildcards are DNS's business. */
  serviceByHostname(hostname: string, clientNamespace: string): Service | undefined;
  service(key: ServiceKey): Service | undefined;
  /** All endpoints, healthy or not, in a stable order. The array must not be changed. */
  endpoints(service: Service): readonly Endpoint[];
  /** The endpoint that `workload` is for the service. */
  endpointOf(service: Service, workload: Workload): Endpoint | undefined;
  policy(key: string): Policy | undefined;
  /** Policies of scope `namespace` in that namespace. */
  namespacePolicies(namespace: string): readonly Policy[];
  /** Policies of scope `global`. */
  globalPolicies(): readonly Policy[];
}

/** A view that can also be gone through from end to end: for pages and explanations, off the hot path. */
export interface MeshListing extends MeshView {
  workloads(): Iterable<Workload>;
  services(): Iterable<Service>;
  policies(): Iterable<Policy>;
  /** Endpoints that wait for a service nobody has told of, by service key. */
  staged(): Iterable<readonly [ServiceKey, readonly Endpoint[]]>;
}
