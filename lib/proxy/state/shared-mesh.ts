// SPDX-License-Identifier: Apache-2.0
// The mesh as a data-plane process sees it: a MeshView over the shared store. Decoded values are kept as long as the store says
// that their record is the same; while the store has not changed at all, an answer costs one map look-up.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Endpoint, Service } from '#lib/mesh/service.ts';
import { preferredService, serviceByRange } from '#lib/mesh/service-choice.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import type { ServiceKey, Workload, WorkloadUid } from '#lib/mesh/workload.ts';
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
import { decodePolicy, decodeService, decodeWorkload } from './record.ts';
import { RecordCache } from './record-cache.ts';

/** Addresses remembered by the value that stands for them, of a generation. */
const MAX_ADDRESSES = 1024;

/** What was found at an address while the store was at that version. */
interface AtAddress {
  readonly network: string;
  readonly seenAt: number;
  readonly workload: Workload | undefined;
  /** Of a client in that namespace; undefined: the service was not looked for. */
  readonly clientNamespace: string | undefined;
  readonly service: Service | undefined;
}

/** One for each namespace with pods here. */
const MAX_POLICY_LISTS = 1000;
const NO_ENDPOINTS: readonly Endpoint[] = [];
const NO_SERVICES: readonly Service[] = [];

export class SharedMesh implements MeshView {
  readonly #workloads: RecordCache<Workload>;
  readonly #services: RecordCache<Service>;
  readonly #policies: RecordCache<Policy>;
  readonly #names: RecordCache<readonly string[]>;
  readonly #endpoints: RecordCache<readonly Endpoint[]>;
  /** By index; each is asked for by every connection, so it is put together once for each version of the store. */
  readonly #policyLists = new Map<string, { readonly policies: readonly Policy[]; readonly seenAt: number }>();
  /** The mesh's own and a worker's addresses are one value each (IpMemory), so most connections find theirs here without making a key. */
  readonly #addresses = new AgingMap<Ip, AtAddress>({ most: MAX_ADDRESSES });
  readonly #store: StoreReader;
  /** Whose endpoints the endpoint cache is decoding. */
  #decodingFor: ServiceKey = '';

  constructor(store: StoreReader) {
    this.#store = store;
    this.#workloads = new RecordCache(store, decodeWorkload);
    this.#services = new RecordCache(store, decodeService);
    this.#policies = new RecordCache(store, decodePolicy);
    this.#names = new RecordCache(store, (text) => text.split('\n'));
    this.#endpoints = new RecordCache(store, (text) => this.#resolveEndpoints(text));
  }

  /** Changes whenever anything may have changed: answers kept meanwhile hold as long as it stays. */
  get version(): number {
    return this.#store.version;
  }

  /** The workload of this node that the node agent announced under these names; undefined until WDS has told of it. */
  localWorkload(namespace: string, name: string, serviceAccount: string): Workload | undefined {
    const uid = this.#names.get(localKey(namespace, name, serviceAccount))?.[0];
    return uid === undefined ? undefined : this.workloadByUid(uid);
  }

  workloadByAddress(network: string, ip: Ip): Workload | undefined {
    return this.#at(network, ip, undefined).workload;
  }

  workloadByUid(uid: WorkloadUid): Workload | undefined {
    return this.#workloads.get(workloadKey(uid));
  }

  /** Whether there is a record of it, without keeping what it says. */
  knowsWorkload(uid: WorkloadUid): boolean {
    return this.#workloads.has(workloadKey(uid));
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    const uid = this.#names.get(ownHostnameKey(namespace, hostname))?.[0];
    return uid === undefined ? undefined : this.workloadByUid(uid);
  }

  serviceByAddress(network: string, ip: Ip, clientNamespace: string): Service | undefined {
    return this.#at(network, ip, clientNamespace).service;
  }

  serviceByHostname(hostname: string, clientNamespace: string): Service | undefined {
    return preferredService(this.servicesOfHostname(hostname), clientNamespace);
  }

  /** Every service of that exact host name, visible or not: for DNS, which chooses by rules of its own. */
  servicesOfHostname(hostname: string): readonly Service[] {
    return this.#servicesOf(hostnameKey(hostname));
  }

  service(key: ServiceKey): Service | undefined {
    return this.#services.get(serviceRecordKey(key));
  }

  endpoints(service: Service): readonly Endpoint[] {
    return this.endpointsByKey(service.key);
  }

  /** Also of a service that nobody has told of. */
  endpointsByKey(key: ServiceKey): readonly Endpoint[] {
    this.#decodingFor = key;
    return this.#endpoints.get(endpointsKey(key)) ?? NO_ENDPOINTS;
  }

  endpointOf(service: Service, workload: Workload): Endpoint | undefined {
    const own = this.workloadByUid(workload.uid);
    const ports = own?.services.get(service.key);
    return own === undefined || ports === undefined ? undefined : { workload: own, ports };
  }

  policy(key: string): Policy | undefined {
    return this.#policies.get(policyRecordKey(key));
  }

  namespacePolicies(namespace: string): readonly Policy[] {
    return this.#policiesOf(namespacePoliciesKey(namespace));
  }

  globalPolicies(): readonly Policy[] {
    return this.#policiesOf(GLOBAL_POLICIES_KEY);
  }

  /** @param clientNamespace undefined when the service is not asked for; '' is a client of no namespace */
  #at(network: string, ip: Ip, clientNamespace: string | undefined): AtAddress {
    // Before anything is read: what is written meanwhile makes the answer old.
    const seenAt = this.#store.version;
    const known = this.#addresses.get(ip);
    if (known !== undefined && known.seenAt === seenAt && known.network === network) {
      if (clientNamespace === undefined || known.clientNamespace === clientNamespace) return known;
    }
    const uid = this.#names.get(addressKey(network, ip))?.[0];
    const found: AtAddress = {
      network,
      seenAt,
      workload: uid === undefined ? undefined : this.workloadByUid(uid),
      clientNamespace,
      service: clientNamespace === undefined ? undefined : this.#serviceAt(network, ip, clientNamespace),
    };
    this.#addresses.set(ip, found);
    return found;
  }

  #serviceAt(network: string, ip: Ip, clientNamespace: string): Service | undefined {
    const exact = preferredService(this.#servicesOf(vipKey(network, ip)), clientNamespace);
    return exact ?? serviceByRange(this.#servicesOf(RANGES_KEY), network, ip, clientNamespace);
  }

  #policiesOf(index: string): readonly Policy[] {
    // Before anything is read: what is written meanwhile makes the list old.
    const seenAt = this.#store.version;
    const list = this.#policyLists.get(index);
    if (list?.seenAt === seenAt) return list.policies;
    const names = this.#names.get(index) ?? [];
    const policies = names.map((name) => this.policy(name)).filter((policy) => policy !== undefined);
    if (this.#policyLists.size >= MAX_POLICY_LISTS) this.#policyLists.clear();
    this.#policyLists.set(index, { policies, seenAt });
    return policies;
  }

  #servicesOf(index: string): readonly Service[] {
    const names = this.#names.get(index);
    if (names === undefined) return NO_SERVICES;
    return names.map((name) => this.service(name)).filter((service) => service !== undefined);
  }

  #resolveEndpoints(text: string): readonly Endpoint[] {
    const key = this.#decodingFor;
    return text.split('\n').flatMap((uid) => {
      const workload = this.workloadByUid(uid);
      const ports = workload?.services.get(key);
      return workload === undefined || ports === undefined ? [] : [{ workload, ports }];
    });
  }
}
