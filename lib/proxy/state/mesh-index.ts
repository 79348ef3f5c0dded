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

/** What is kept of a record that is in the store. */
interface Entry {
  /** Index keys that lead to it. */
  readonly indexes: readonly string[];
  /** Rank among the owners of an address. */
  readonly rank: number;
}

/** Makes the bytes of a record when it is written. */
type Encode = () => Buffer;

/** Which workloads are here. */
export interface Place {
  /** This node; '' counts every workload as local. */
  readonly nodeName: string;
  /** Its cluster: another one may have a node of the same name. */
  readonly clusterId: string;
}

export function isLocal({ clusterId, nodeName }: Place, workload: Workload): boolean {
  return nodeName === '' || (workload.node === nodeName && workload.clusterId === clusterId);
}

export class MeshIndex {
  readonly #place: Place;
  /** By record key. */
  readonly #entries = new Map<string, Entry>();
  /** By index key, the record keys of its members in order; most have one, which needs no set. */
  readonly #members = new Map<string, string | Set<string>>();
  /** What a record has become; undefined when it is gone. */
  #dirtyRecords = new Map<string, Encode | undefined>();
  #dirtyIndexes = new Set<string>();

  constructor(place: Place) {
    this.#place = place;
  }

  putWorkload(workload: Workload): void {
    const { uid, namespace, name, serviceAccount, network, hostname, hostNetwork } = workload;
    const indexes = [...workload.services.keys()].map(endpointsKey);
    if (!hostNetwork) indexes.push(...workload.addresses.map((ip) => addressKey(network, ip)));
    if (hostname !== '') indexes.push(ownHostnameKey(namespace, hostname));
    if (isLocal(this.#place, workload)) indexes.push(localKey(namespace, name, serviceAccount));
    const rank = (uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'hbone' ? 1 : 0);
    this.#put(workloadKey(uid), { indexes, rank }, () => encodeWorkload(workload));
  }

  /** False when there was none. */
  removeWorkload(uid: string): boolean {
    return this.#remove(workloadKey(uid));
  }

  putService(service: Service): void {
    const indexes = [hostnameKey(service.hostname)];
    for (const { network, range } of service.vips) {
      indexes.push(range.host ? vipKey(network, range.base) : RANGES_KEY);
    }
    this.#put(serviceRecordKey(service.key), { indexes, rank: 0 }, () => encodeService(service));
  }

  /** False when there was none. */
  removeService(key: string): boolean {
    return this.#remove(serviceRecordKey(key));
  }

  putPolicy(policy: Policy): void {
    const indexes =
      policy.scope === 'global'
        ? [GLOBAL_POLICIES_KEY]
        : policy.scope === 'namespace'
          ? [namespacePoliciesKey(policy.namespace)]
          : [];
    this.#put(policyRecordKey(policy.key), { indexes, rank: 0 }, () => encodePolicy(policy));
  }

  /** False when there was none. */
  removePolicy(key: string): boolean {
    return this.#remove(policyRecordKey(key));
  }

  get dirty(): boolean {
    return this.#dirtyRecords.size > 0 || this.#dirtyIndexes.size > 0;
  }

  /**
   * Everything that changed since the last call: new records, then indexes, then the removal of records. Bytes are made one after the
   * other, as they are taken; what changes meanwhile is part of the next call as well.
   */
  *take(): Generator<StoreChange> {
    const records = this.#dirtyRecords;
    const indexes = this.#dirtyIndexes;
    this.#dirtyRecords = new Map();
    this.#dirtyIndexes = new Set();
    for (const [key, encode] of records) {
      if (encode === undefined) continue;
      yield { key, value: encode() };
      // Its value is let go of at once: a first snapshot is as large as the store.
      records.set(key, KEPT);
    }
    // Endpoints are decoded with their workloads in them (SharedMesh), and kept as long as their index is the same record.
    for (const key of indexes) yield { key, value: this.#list(key), renew: true };
    for (const [key, encode] of records) if (encode === undefined) yield { key, value: undefined };
  }

  #put(key: string, entry: Entry, encode: Encode): void {
    // A member that changes goes to the end, so that its place tells its age.
    this.#remove(key);
    this.#entries.set(key, entry);
    for (const index of entry.indexes) {
      const members = this.#members.get(index);
      if (members === undefined) this.#members.set(index, key);
      else if (typeof members === 'string') this.#members.set(index, new Set([members, key]));
      else members.add(key);
      this.#dirtyIndexes.add(index);
    }
    this.#dirtyRecords.set(key, encode);
  }

  #remove(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#dirtyRecords.set(key, undefined);
    for (const index of entry.indexes) {
      const members = this.#members.get(index);
      if (typeof members === 'string') this.#members.delete(index);
      else if (members?.delete(key) && members.size === 0) this.#members.delete(index);
      this.#dirtyIndexes.add(index);
    }
    return true;
  }

  #list(index: string): Buffer | undefined {
    const members = this.#members.get(index);
    if (members === undefined) return undefined;
    if (typeof members === 'string') return Buffer.from(nameOf(members));
    if (index.startsWith('a/')) {
      let owner = '';
      let best = -1;
      for (const key of members) {
        const { rank } = this.#entries.get(key)!;
        if (rank <= best) continue;
        owner = key;
        best = rank;
      }
      return Buffer.from(nameOf(owner));
    }
    const names = [...members].map(nameOf);
    // Policies are judged in the order of their names wherever they are judged.
    if (index === GLOBAL_POLICIES_KEY || index.startsWith('n/')) names.sort();
    return Buffer.from(names.join('\n'));
  }
}

const KEPT: Encode = () => Buffer.alloc(0);

/** The name in a record's key, after its kind. */
function nameOf(recordKey: string): string {
  return recordKey.slice(2);
}
