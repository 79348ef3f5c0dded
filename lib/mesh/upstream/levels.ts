// SPDX-License-Identifier: Apache-2.0
//
// Which hosts come first: levels of preference, nearest first, and within a level localities by share. From the
// service's own preference (trafficDistribution, internalTrafficPolicy), else from a DestinationRule's locality
// settings.

import { own } from '#lib/kit/table.ts';
import { rankOf, sharesAll } from '../candidate.ts';
import type { Locality as LocalitySettings } from '../http/traffic-policy.ts';
import type { LoadBalancing } from '../service.ts';
import type { Locality, Workload } from '../workload.ts';
import type { Host } from './host.ts';

export interface LocalityShare {
  readonly hosts: readonly Host[];
  /** Percent. */
  readonly share: number;
}

/** Hosts of one level; `shares` when localities take fixed shares of it. */
export interface Level {
  readonly hosts: readonly Host[];
  readonly shares: readonly LocalityShare[] | undefined;
}

export interface LevelRequest {
  readonly source: Workload;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly balancing: LoadBalancing;
  readonly locality: LocalitySettings | undefined;
  /** Whether outlier detection is on, without which failover does not act. */
  readonly outlier: boolean;
}

export function levelsOf(hosts: readonly Host[], request: LevelRequest): Level[] {
  const { balancing, locality, outlier, source } = request;
  if (balancing.mode === 'strict') {
    const near = hosts.filter(({ endpoint }) => sharesAll(balancing.scopes, source, endpoint.workload));
    return near.length === 0 ? [] : [{ hosts: near, shares: undefined }];
  }
  if (locality?.enabled === true) {
    if (locality.distribute.length > 0) {
      const distributed = distribute(hosts, locality, source);
      if (distributed !== undefined) return [distributed];
    } else if (outlier || locality.forced) {
      if (locality.priorityLabels.length > 0) {
        return grouped(hosts, (host) => -matchingLabels(host, locality.priorityLabels, request));
      }
      if (balancing.mode !== 'failover') return grouped(hosts, (host) => distance(host, source.locality, locality));
    }
  }
  if (balancing.mode === 'failover') {
    return grouped(hosts, ({ endpoint }) => -rankOf(balancing.scopes, source, endpoint.workload));
  }
  return hosts.length === 0 ? [] : [{ hosts, shares: undefined }];
}

/** Smallest value first. */
function grouped(hosts: readonly Host[], value: (host: Host) => number): Level[] {
  const groups = new Map<number, Host[]>();
  for (const host of hosts) {
    const at = value(host);
    const group = groups.get(at) ?? [];
    groups.set(at, group);
    group.push(host);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([, members]) => ({ hosts: members, shares: undefined }));
}

/** 0 same subzone, 1 zone, 2 region, 3 elsewhere, 4 a region that failover does not name. */
function distance(host: Host, from: Locality, settings: LocalitySettings): number {
  const { region, subzone, zone } = host.endpoint.workload.locality;
  if (region === from.region) {
    if (zone !== from.zone) return 2;
    return subzone === from.subzone ? 0 : 1;
  }
  const rule = settings.failover.find((one) => one.from === from.region);
  return rule === undefined || rule.to === region ? 3 : 4;
}

function matchingLabels(host: Host, labels: readonly string[], { source, sourceLabels }: LevelRequest): number {
  let count = 0;
  for (const label of labels) {
    const equals = label.indexOf('=');
    const name = equals < 0 ? label : label.slice(0, equals);
    const wanted = equals < 0 ? labelOf(name, source, sourceLabels) : label.slice(equals + 1);
    if (labelOf(name, host.endpoint.workload, host.labels) !== wanted) break;
    count++;
  }
  return count;
}

/** Labels that every workload has by where it runs, and its own. */
function labelOf(name: string, workload: Workload, labels: Readonly<Record<string, string>>): string {
  switch (name) {
    case 'topology.istio.io/network':
      return workload.network;
    case 'topology.istio.io/cluster':
      return workload.clusterId;
    case 'topology.kubernetes.io/region':
      return workload.locality.region;
    case 'topology.kubernetes.io/zone':
      return workload.locality.zone;
    case 'topology.istio.io/subzone':
      return workload.locality.subzone;
    case 'kubernetes.io/hostname':
      return workload.node;
    default:
      return own(labels, name) ?? '';
  }
}

/** Whether `region/zone/subzone`, with `*` for the rest, covers a locality. */
export function coversLocality(pattern: string, { region, subzone, zone }: Locality): boolean {
  const parts = pattern.split('/');
  const has = [region, zone, subzone];
  for (const [i, part] of parts.entries()) {
    if (part === '*') return true;
    if (part !== has[i]) return false;
  }
  return true;
}

/** undefined when no rule is for the source's locality. */
function distribute(
  hosts: readonly Host[],
  { distribute: rules }: LocalitySettings,
  source: Workload,
): Level | undefined {
  const rule = rules.find(({ from }) => coversLocality(from, source.locality));
  if (rule === undefined) return undefined;
  const left = new Set(hosts);
  const shares: LocalityShare[] = [];
  // The most telling pattern of several that cover a host takes it.
  const patterns = Object.entries(rule.to).sort(([a], [b]) => detail(b) - detail(a));
  for (const [pattern, share] of patterns) {
    const members = [...left].filter(({ endpoint }) => coversLocality(pattern, endpoint.workload.locality));
    for (const host of members) left.delete(host);
    if (members.length > 0 && share > 0) shares.push({ hosts: members, share });
  }
  return { hosts: shares.flatMap((one) => one.hosts), shares };
}

function detail(pattern: string): number {
  return pattern.split('/').filter((part) => part !== '*').length;
}
