// SPDX-License-Identifier: Apache-2.0
// The mesh as the main process sees it: the same records that the data-plane processes read, so that its pages and
// explanations tell of nothing else, and nothing is held twice.
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Endpoint, Service } from '#lib/mesh/service.ts';
import type { MeshListing } from '#lib/mesh/view.ts';
import type { ServiceKey, Workload } from '#lib/mesh/workload.ts';
import { endpointsKey, policyRecordKey, serviceRecordKey, workloadKey } from './key.ts';
import { decodePolicy, decodeService, decodeWorkload } from './record.ts';
import { SharedMesh } from './shared-mesh.ts';

export class StoredMesh extends SharedMesh implements MeshListing {
  readonly #reader: StoreReader;

  constructor(store: StoreWriter) {
    const reader = new StoreReader(store.parts);
    super(reader);
    this.#reader = reader;
  }

  workloads(): Iterable<Workload> {
    return this.#all(workloadKey(''), decodeWorkload);
  }

  services(): Iterable<Service> {
    return this.#all(serviceRecordKey(''), decodeService);
  }

  policies(): Iterable<Policy> {
    return this.#all(policyRecordKey(''), decodePolicy);
  }

  *staged(): Generator<readonly [ServiceKey, readonly Endpoint[]]> {
    const prefix = endpointsKey('');
    for (const [name] of this.#reader.entries(prefix)) {
      const key = name.slice(prefix.length);
      if (this.service(key) === undefined) yield [key, this.endpointsByKey(key)];
    }
  }

  *#all<T>(prefix: string, decode: (text: string) => T): Generator<T> {
    for (const [, value] of this.#reader.entries(prefix)) yield decode(value.toString());
  }
}
