// SPDX-License-Identifier: Apache-2.0
// Turns changes of the mesh into changes of the shared store. It keeps, for each index key, who stands in it; what a response
// touched is gathered as dirty keys, and `take` gives their new values in an order in which readers never meet a name
// before its record.
import type { StoreChange } from '#lib/loop/shared/store-writer.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import {
  addressKey,
  endpointsKey,
  GLOBAL_POLICIES_KEY,
  hostnameKey,
  localKey,
  namespacePoliciesKey,
  ownHostnameKey,
  policyRecordKey,
  RANGES_KEY,
  serviceRecordKey,
  vipKey,
  workloadKey,
} from './key.ts';
import { encodePolicy, encodeService, encodeWorkload } from './record.ts';

/** A record with the index entries that lead to it. */
interface Entry {
  readonly name: string;
  readonly indexes: readonly string[];
  encode(): Buffer;
  /** Rank among the owners of an address. */
  readonly rank: number;
}

export interface MeshIndexOptions {
  /** This node; '' counts every workload as local. */
  readonly nodeName: string;
}

export class MeshIndex {
  readonly #nodeName: string;
  /** By record key. */
  readonly #entries = new Map<string, Entry>();
  /** By index key, the record keys of its members in order. */
  readonly #members = new Map<string, Set<string>>();
  readonly #dirtyRecords = new Set<string>();
  readonly #dirtyIndexes = new Set<string>();

  constructor({ nodeName }: MeshIndexOptions) {
    this.#nodeName = nodeName;
  }

  putWorkload(workload: Workload): void {
    const { uid, namespace, name, serviceAccount, network, hostname, hostNetwork, node } = workload;
    const indexes = [...workload.services.keys()].map(endpointsKey);
    if (!hostNetwork) indexes.push(...workload.addresses.map((ip) => addressKey(network, ip)));
    if (hostname !== '') indexes.push(ownHostnameKey(namespace, hostname));
    if (this.#nodeName === '' || node === this.#nodeName) indexes.push(localKey(namespace, name, serviceAccount));
    const rank = (uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'hbone' ? 1 : 0);
    this.#put(workloadKey(uid), { name: uid, indexes, rank, encode: () => encodeWorkload(workload) });
  }

  removeWorkload(uid: string): void {
    this.#remove(workloadKey(uid));
  }

  putService(service: Service): void {
    const indexes = [hostnameKey(service.hostname)];
    for (const { network, range } of service.vips) {
      indexes.push(range.host ? vipKey(network, range.base) : RANGES_KEY);
    }
    const name = service.key;
    this.#put(serviceRecordKey(name), { name, indexes, rank: 0, encode: () => encodeService(service) });
  }

  removeService(key: string): void {
    this.#remove(serviceRecordKey(key));
  }

  putPolicy(policy: Policy): void {
    const indexes =
      policy.scope === 'global'
        ? [GLOBAL_POLICIES_KEY]
        : policy.scope === 'namespace'
          ? [namespacePoliciesKey(policy.namespace)]
          : [];
    this.#put(policyRecordKey(policy.key), { name: policy.key, indexes, rank: 0, encode: () => encodePolicy(policy) });
  }

  removePolicy(key: string): void {
    this.#remove(policyRecordKey(key));
  }

  get dirty(): boolean {
    return this.#dirtyRecords.size > 0 || this.#dirtyIndexes.size > 0;
  }

  /** Everything that changed since the last call: new records, then indexes, then the removal of records. */
  take(): StoreChange[] {
    const puts: StoreChange[] = [];
    const removals: StoreChange[] = [];
    for (const key of this.#dirtyRecords) {
      const entry = this.#entries.get(key);
      if (entry === undefined) removals.push({ key, value: undefined });
      else puts.push({ key, value: entry.encode() });
    }
    const indexes = [...this.#dirtyIndexes].map((key) => ({ key, value: this.#list(key) }));
    this.#dirtyRecords.clear();
    this.#dirtyIndexes.clear();
    return [...puts, ...indexes, ...removals];
  }

  #put(key: string, entry: Entry): void {
    // A member that changes goes to the end, so that its place tells its age, as in the maps of the main process.
    this.#remove(key);
    this.#entries.set(key, entry);
    for (const index of entry.indexes) {
      let members = this.#members.get(index);
      if (members === undefined) {
        members = new Set();
        this.#members.set(index, members);
      }
      members.add(key);
      this.#dirtyIndexes.add(index);
    }
    this.#dirtyRecords.add(key);
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#dirtyRecords.add(key);
    for (const index of entry.indexes) {
      const members = this.#members.get(index);
      members?.delete(key);
      if (members?.size === 0) this.#members.delete(index);
      this.#dirtyIndexes.add(index);
    }
  }

  #list(index: string): Buffer | undefined {
    const members = this.#members.get(index);
    if (members === undefined) return undefined;
    const entries = [...members].map((key) => this.#entries.get(key)!);
    if (index.startsWith('a/')) {
      let owner = entries[0]!;
      for (const entry of entries) if (entry.rank > owner.rank) owner = entry;
      return Buffer.from(owner.name);
    }
    const names = entries.map(({ name }) => name);
    // Policies are judged in the order of their names wherever they are judged.
    if (index === GLOBAL_POLICIES_KEY || index.startsWith('n/')) names.sort();
    return Buffer.from(names.join('\n'));
  }
}
