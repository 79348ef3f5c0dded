// SPDX-License-Identifier: Apache-2.0
//
// Hosts of ServiceEntries. Several may name one host: within a namespace a Kubernetes Service of the name wins, then
// the oldest entry; over the mesh the same order tells which of several namespaces' services is the canonical one.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import { serviceKey, type Vip } from '#lib/mesh/service.ts';
import type { ServiceKey } from '#lib/mesh/workload.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { EntryPort, ServiceEntry } from '../object/entry.ts';
import { byAge, namespaceOf, type ServicePort, spaceOf } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import type { ServiceSelector } from '../workload/membership.ts';
import { visibilityIn } from './visibility.ts';

/** One host of a ServiceEntry. */
export interface EntryHost {
  readonly key: ServiceKey;
  readonly host: string;
  readonly entry: ServiceEntry;
  readonly visibility: 'public' | 'namespace';
}

/** A host that stands for its service in its namespace. */
export interface WinningHost extends EntryHost {
  /** Also for clients that name it without a namespace. */
  readonly canonical: boolean;
}

export interface EntryHostCollections {
  /** By service key. */
  readonly winners: Collection<WinningHost>;
  /** Services and hosts of entries, as workloads look for them. */
  readonly selectors: Collection<ServiceSelector>;
}

export interface EntryHostSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly entries: Collection<ServiceEntry>;
  /** Of Kubernetes Services. */
  readonly services: Collection<ServiceSelector>;
}

const SAME = { equals: sameHost };

function sameHost<T extends EntryHost>(a: T, b: T): boolean {
  return (
    a.entry === b.entry &&
    a.host === b.host &&
    a.visibility === b.visibility &&
    (a as Partial<WinningHost>).canonical === (b as Partial<WinningHost>).canonical
  );
}

export function createEntryHosts(graph: Graph, sources: EntryHostSources): EntryHostCollections {
  const { entries, inputs, services, settings } = sources;
  const hosts = graph.flatMap(
    'entry hosts',
    entries,
    (entry, key, fetch): [string, EntryHost][] => {
      const visibility =
        visibilityIn(fetch.get(inputs.namespaces, spaceOf(entry)), settingsIn(settings, fetch)) ?? 'public';
      if (visibility === 'none' || declaredAddresses(entry) === undefined) return [];
      const namespace = namespaceOf(entry);
      return [...new Set(entry.spec?.hosts ?? [])].map((host) => [
        `${key} ${host}`,
        { key: serviceKey(namespace, host), host, entry, visibility },
      ]);
    },
    SAME,
  );
  const local = (one: ServiceSelector): boolean => !one.space.includes('|');
  const kubeByKey = graph.index('services by service key', services, (one) => (local(one) ? [one.key] : []));
  const kubeByHost = graph.index('services by host', services, (one) =>
    local(one) ? [one.key.slice(one.key.indexOf('/') + 1)] : [],
  );
  const byKey = graph.index('entry hosts by service', hosts, ({ key }) => [key]);
  const byHost = graph.index('entry hosts by host', hosts, ({ host }) => [host]);
  const isCanonical = ({ entry, host }: EntryHost, fetch: Fetch): boolean => {
    if (fetch.lookup(kubeByHost, host).length > 0) return false;
    const seen = fetch.lookup(byHost, host).filter(({ visibility }) => visibility === 'public');
    return eldest(seen)?.entry === entry;
  };
  const winners = graph.group(
    'entry services',
    byKey,
    (rivals, key, fetch): WinningHost | undefined => {
      if (fetch.lookup(kubeByKey, key).length > 0) return undefined;
      const winner = eldest(rivals);
      return winner === undefined ? undefined : { ...winner, canonical: isCanonical(winner, fetch) };
    },
    SAME,
  );
  const ofEntries = graph.flatMap('entry selectors', winners, ({ entry, key }): [string, ServiceSelector][] => {
    const labels = entry.spec?.workloadSelector?.labels ?? {};
    const selector = Object.keys(labels).length === 0 ? undefined : labels;
    const { name } = entry.metadata;
    const ports = entryPorts(entry).map(servicePortOf);
    return [[`entry ${key}`, { key, name, space: spaceOf(entry), of: 'entry', selector, ports }]];
  });
  return { winners, selectors: graph.union('selectors', [services, ofEntries]) };
}

function eldest(rivals: readonly EntryHost[]): EntryHost | undefined {
  return rivals.reduce<EntryHost | undefined>(
    (best, one) => (best === undefined || byAge(one.entry, best.entry) < 0 ? one : best),
    undefined,
  );
}

export function entryPorts(entry: ServiceEntry): readonly EntryPort[] {
  return entry.spec?.ports ?? [];
}

function servicePortOf({ name, number, protocol, targetPort }: EntryPort): ServicePort {
  return {
    port: number,
    ...(name !== undefined && { name }),
    ...(targetPort !== undefined && { targetPort }),
    ...(protocol !== undefined && { protocol }),
  };
}

export function resolutionOf(entry: ServiceEntry): string {
  return entry.spec?.resolution ?? 'NONE';
}

/** Addresses in the spec, ranges with their host bits cleared; undefined when one cannot be read. */
export function declaredAddresses(entry: ServiceEntry): readonly Cidr[] | undefined {
  const read = (entry.spec?.addresses ?? []).map(parseCidr);
  return read.every((range) => range !== undefined) ? read : undefined;
}

/** Virtual addresses of one host: declared ones, else those given out for it. */
export function entryVips(entry: ServiceEntry, host: string, network: string): Vip[] {
  const declared = declaredAddresses(entry) ?? [];
  if (declared.length > 0) return declared.map((range) => ({ network, range }));
  if (!takesAllocation(entry, host)) return [];
  return (entry.status?.addresses ?? []).flatMap(({ host: of, value = '' }) => {
    const ip = of === host ? parseIp(value) : undefined;
    return ip === undefined ? [] : [{ network, range: new Cidr(ip, ip.family === 4 ? 32 : 128) }];
  });
}

/** Whether a host may have a virtual address given out; a wildcard only where names are resolved one by one. */
export function takesAllocation(entry: ServiceEntry, host: string): boolean {
  const resolution = resolutionOf(entry);
  return resolution !== 'NONE' && (!host.startsWith('*') || resolution === 'DYNAMIC_DNS');
}
