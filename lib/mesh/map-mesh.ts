// SPDX-License-Identifier: Apache-2.0
//
// The mesh in plain maps: what ztunnel's main process, the CLI and tests look things up in. Every resource can be put
// and removed in any order; a workload that names a service before the service is known waits among its endpoints.

import type { Ip } from './ip.ts';
import type { Policy } from './policy.ts';
import type { Endpoint, Service } from './service.ts';
import { preferredService, serviceByRange } from './service-choice.ts';
import type { MeshView } from './view.ts';
import type { ServiceKey, Workload, WorkloadUid } from './workload.ts';

const NO_ENDPOINTS: readonly Endpoint[] = [];
const NO_POLICIES: readonly Policy[] = [];

export class MapMesh implements MeshView {
  readonly #workloads = new Map<WorkloadUid, Workload>();
  readonly #byAddress = new Map<string, Workload[]>();
  readonly #byHostname = new Map<string, Workload[]>();
  readonly #services = new Map<ServiceKey, Service>();
  readonly #byVip = new Map<string, Service[]>();
  readonly #ranges = new Map<ServiceKey, Service>();
  readonly #byServiceHostname = new Map<string, Service[]>();
  /** By service key, known or not (an unknown service's endpoints are staged here), then by workload uid. */
  readonly #endpoints = new Map<ServiceKey, Map<WorkloadUid, Endpoint>>();
  readonly #endpointLists = new Map<ServiceKey, readonly Endpoint[]>();
  readonly #policies = new Map<string, Policy>();
  readonly #policiesOf = new Map<string, readonly Policy[]>();
  #global: readonly Policy[] = NO_POLICIES;
  #policiesIndexed = true;

  /** Adds the workload, or replaces the one of the same uid with all its endpoints. */
  putWorkload(workload: Workload): void {
    this.removeWorkload(workload.uid);
    this.#workloads.set(workload.uid, workload);
    if (!workload.hostNetwork) {
      for (const ip of workload.addresses) push(this.#byAddress, at(workload.network, ip), workload);
    }
    if (workload.hostname !== '') push(this.#byHostname, `${workload.namespace}/${workload.hostname}`, workload);
    for (const [key, ports] of workload.services) {
      let members = this.#endpoints.get(key);
      if (members === undefined) {
        members = new Map();
        this.#endpoints.set(key, members);
      }
      members.set(workload.uid, { workload, ports });
      this.#endpointLists.delete(key);
    }
  }

  removeWorkload(uid: WorkloadUid): boolean {
    const workload = this.#workloads.get(uid);
    if (workload === undefined) return false;
    this.#workloads.delete(uid);
    for (const ip of workload.addresses) drop(this.#byAddress, at(workload.network, ip), workload);
    drop(this.#byHostname, `${workload.namespace}/${workload.hostname}`, workload);
    for (const key of workload.services.keys()) {
      const members = this.#endpoints.get(key);
      members?.delete(uid);
      if (members?.size === 0) this.#endpoints.delete(key);
      this.#endpointLists.delete(key);
    }
    return true;
  }

  /** Adds the service or replaces it; its endpoints stay. */
  putService(service: Service): void {
    this.removeService(service.key);
    this.#services.set(service.key, service);
    push(this.#byServiceHostname, service.hostname, service);
    for (const vip of service.vips) {
      if (vip.range.host) push(this.#byVip, at(vip.network, vip.range.base), service);
      else this.#ranges.set(service.key, service);
    }
  }

  removeService(key: ServiceKey): boolean {
    const service = this.#services.get(key);
    if (service === undefined) return false;
    this.#services.delete(key);
    this.#ranges.delete(key);
    drop(this.#byServiceHostname, service.hostname, service);
    for (const vip of service.vips) if (vip.range.host) drop(this.#byVip, at(vip.network, vip.range.base), service);
    return true;
  }

  putPolicy(policy: Policy): void {
    this.#policies.set(policy.key, policy);
    this.#policiesIndexed = false;
  }

  removePolicy(key: string): boolean {
    const found = this.#policies.delete(key);
    if (found) this.#policiesIndexed = false;
    return found;
  }

  #indexPolicies(): void {
    this.#policiesIndexed = true;
    const all = [...this.#policies.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#global = all.filter((policy) => policy.scope === 'global');
    this.#policiesOf.clear();
    for (const [namespace, list] of Map.groupBy(
      all.filter((policy) => policy.scope === 'namespace'),
      (policy) => policy.namespace,
    )) {
      this.#policiesOf.set(namespace, list);
    }
  }

  workloads(): IterableIterator<Workload> {
    return this.#workloads.values();
  }

  services(): IterableIterator<Service> {
    return this.#services.values();
  }

  policies(): IterableIterator<Policy> {
    return this.#policies.values();
  }

  /** Endpoints that wait for a service nobody has told of, by service key. */
  *staged(): IterableIterator<[ServiceKey, readonly Endpoint[]]> {
    for (const [key, members] of this.#endpoints) if (!this.#services.has(key)) yield [key, [...members.values()]];
  }

  workloadByAddress(network: string, ip: Ip): Workload | undefined {
    const owners = this.#byAddress.get(at(network, ip));
    if (owners === undefined || owners.length < 2) return owners?.[0];
    let best = owners[0]!;
    for (const owner of owners) if (ownership(owner) > ownership(best)) best = owner;
    return best;
  }

  workloadByUid(uid: WorkloadUid): Workload | undefined {
    return this.#workloads.get(uid);
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    return this.#byHostname.get(`${namespace}/${hostname}`)?.[0];
  }

  serviceByAddress(network: string, ip: Ip, clientNamespace: string): Service | undefined {
    const exact = preferredService(this.#byVip.get(at(network, ip)), clientNamespace);
    return exact ?? serviceByRange(this.#ranges.values(), network, ip, clientNamespace);
  }

  serviceByHostname(hostname: string, clientNamespace: string): Service | undefined {
    return preferredService(this.#byServiceHostname.get(hostname), clientNamespace);
  }

  service(key: ServiceKey): Service | undefined {
    return this.#services.get(key);
  }

  endpoints(service: Service): readonly Endpoint[] {
    const known = this.#endpointLists.get(service.key);
    if (known !== undefined) return known;
    const members = this.#endpoints.get(service.key);
    if (members === undefined) return NO_ENDPOINTS;
    const list = [...members.values()];
    this.#endpointLists.set(service.key, list);
    return list;
  }

  endpointOf(service: Service, workload: Workload): Endpoint | undefined {
    return this.#endpoints.get(service.key)?.get(workload.uid);
  }

  policy(key: string): Policy | undefined {
    return this.#policies.get(key);
  }

  namespacePolicies(namespace: string): readonly Policy[] {
    if (!this.#policiesIndexed) this.#indexPolicies();
    return this.#policiesOf.get(namespace) ?? NO_POLICIES;
  }

  globalPolicies(): readonly Policy[] {
    if (!this.#policiesIndexed) this.#indexPolicies();
    return this.#global;
  }
}

function at(network: string, ip: Ip): string {
  return `${network}/${ip.text}`;
}

function ownership(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'hbone' ? 1 : 0);
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else if (!list.includes(value)) list.push(value);
}

function drop<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  const index = list?.indexOf(value) ?? -1;
  if (list === undefined || index < 0) return;
  if (list.length === 1) map.delete(key);
  else list.splice(index, 1);
}
