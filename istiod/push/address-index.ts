// SPDX-License-Identifier: Apache-2.0
// What a client that asks on demand means by a name: a workload by its uid or one of its addresses, a service by host
// name or virtual address. A service brings its workloads along, since a client cannot use one without the other.

import { FewByKey } from '#lib/kit/few.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';

export class AddressIndex {
  readonly #workloads = new Map<string, Workload>();
  readonly #services = new Map<string, Service>();
  /** Alias to the names that have it. */
  readonly #byAlias = new FewByKey<string>();
  readonly #members = new FewByKey<string>();
  readonly #byNode = new FewByKey<string>();

  get workloads(): ReadonlyMap<string, Workload> {
    return this.#workloads;
  }

  get services(): ReadonlyMap<string, Service> {
    return this.#services;
  }

  setWorkload(workload: Workload): void {
    this.removeWorkload(workload.uid);
    this.#workloads.set(workload.uid, workload);
    for (const alias of aliasesOfWorkload(workload)) this.#byAlias.add(alias, workload.uid);
    for (const key of workload.services.keys()) this.#members.add(key, workload.uid);
    this.#byNode.add(workload.node, workload.uid);
  }

  removeWorkload(uid: string): void {
    const old = this.#workloads.get(uid);
    if (old === undefined) return;
    this.#workloads.delete(uid);
    for (const alias of aliasesOfWorkload(old)) this.#byAlias.delete(alias, uid);
    for (const key of old.services.keys()) this.#members.delete(key, uid);
    this.#byNode.delete(old.node, uid);
  }

  setService(service: Service): void {
    this.removeService(service.key);
    this.#services.set(service.key, service);
    for (const alias of aliasesOfService(service)) this.#byAlias.add(alias, service.key);
  }

  removeService(key: string): void {
    const old = this.#services.get(key);
    if (old === undefined) return;
    this.#services.delete(key);
    for (const alias of aliasesOfService(old)) this.#byAlias.delete(alias, key);
  }

  aliases(name: string): readonly string[] {
    const workload = this.#workloads.get(name);
    if (workload !== undefined) return aliasesOfWorkload(workload);
    const service = this.#services.get(name);
    return service === undefined ? [] : aliasesOfService(service);
  }

  /** Every key, beside its own name, that means the resource: its aliases, and those of the services it is behind. */
  keysOf(name: string): readonly string[] {
    const workload = this.#workloads.get(name);
    if (workload === undefined) return this.aliases(name);
    const services = [...workload.services.keys()];
    return [...aliasesOfWorkload(workload), ...services, ...services.flatMap((key) => this.aliases(key))];
  }

  /** Names meant by `key`, those that come with them included; empty when there are none. */
  resolve(key: string): readonly string[] {
    if (this.#workloads.has(key)) return [key];
    const named = this.#services.has(key) ? [key] : this.#byAlias.of(key);
    return named.flatMap((name) => (this.#services.has(name) ? [name, ...this.#members.of(name)] : [name]));
  }

  /** The workloads of a node: a node proxy needs its own, asked or not. @param cluster '' where the client does not say */
  onNode(node: string, cluster = ''): readonly string[] {
    const names = node === '' ? [] : this.#byNode.of(node);
    // Nodes of several clusters may have one name.
    return cluster === '' ? names : names.filter((name) => this.#workloads.get(name)?.clusterId === cluster);
  }
}

/** `<network>/<ip>` for each address; a host-network workload is not found by its node's address. */
function aliasesOfWorkload(workload: Workload): string[] {
  return workload.hostNetwork ? [] : workload.addresses.map((ip) => `${workload.network}/${ip}`);
}

/** `<network>/<vip>`, with the prefix length for a range. */
function aliasesOfService(service: Service): string[] {
  return service.vips.map(({ network, range }) => `${network}/${range.host ? range.base : range}`);
}
