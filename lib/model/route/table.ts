// SPDX-License-Identifier: Apache-2.0
//
// All routes of one service port or listener as one table. Groups are never mixed: consumer routes of a namespace
// decide alone for its clients, producer routes for the rest. Within a group the API's precedence orders matches; of
// kinds that exclude each other the winner stays, and the losers are named for their statuses.

import type {
  HttpEntry,
  HttpRoutes,
  HttpRule,
  RouteTable,
  TcpRoute,
  TlsRoute,
  VirtualHost,
} from '#lib/mesh/http/route-table.ts';
import type { Attachment, PartEntry, RouteKind, RoutePart } from './context.ts';
import { hostsIntersect } from './hostname.ts';

/** A route that another one excludes. */
export interface ConflictedRoute {
  readonly kind: RouteKind;
  readonly key: string;
  /** Index of the parentRef. */
  readonly parent: number;
  readonly message: string;
}

export interface BuiltTable {
  readonly table: RouteTable;
  readonly conflicts: readonly ConflictedRoute[];
}

/** On one service port a kind excludes those after it. VirtualServices stand beside all. */
const MESH_ORDER: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute', 'TLSRoute', 'TCPRoute'];

/**
 * @param attachments all of this table, in any order
 * @param exclusiveHosts whether the most specific host decides alone (Istio's Gateways)
 */
export function buildTable(name: string, attachments: readonly Attachment[], exclusiveHosts = false): BuiltTable {
  const conflicts: ConflictedRoute[] = [];
  const sorted = [...attachments].sort((a, b) => byPartAge(a.part, b.part) || a.parent - b.parent);
  const namespaces = [...new Set(sorted.map((one) => one.clientNamespace))].sort();
  // The group for all clients comes last.
  const groups = [...namespaces.filter((one) => one !== ''), ...namespaces.filter((one) => one === '')];
  const http: HttpRoutes[] = [];
  const tls: TlsRoute[] = [];
  const tcp: TcpRoute[] = [];
  for (const clientNamespace of groups) {
    const members = winners(
      sorted.filter((one) => one.clientNamespace === clientNamespace),
      conflicts,
    );
    const requests = members.filter(({ part }) => part.entries.length > 0);
    if (requests.length > 0) http.push({ clientNamespace, exclusiveHosts, ...httpGroup(requests) });
    for (const { hosts, part, port, service } of members) {
      const at = service === undefined ? 0 : port;
      for (const route of part.tls) {
        // Before a service, the names are those the route says; at a listener, those both have in common.
        tls.push({ ...route, clientNamespace, port: at, hosts: service === undefined ? hosts : route.hosts });
      }
      for (const route of part.tcp) tcp.push({ ...route, clientNamespace, port: at });
    }
  }
  return { table: { name, http, tls: bySpecificHost(tls), tcp }, conflicts };
}

function byPartAge(a: RoutePart, b: RoutePart): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.key === b.key ? 0 : a.key < b.key ? -1 : 1;
}

function winners(members: readonly Attachment[], conflicts: ConflictedRoute[]): Attachment[] {
  const kept: Attachment[] = [];
  const kinds = new Set(members.map(({ part }) => part.kind));
  const ruling = MESH_ORDER.find((kind) => kinds.has(kind));
  for (const one of members) {
    const { kind, key } = one.part;
    let by: string | undefined;
    if (one.service !== undefined) {
      if (kind !== 'VirtualService' && kind !== ruling) by = `a ${ruling} on the same port of the Service`;
    } else if (kind === 'HTTPRoute' || kind === 'GRPCRoute') {
      const older = kept.find(
        ({ hosts, part }) =>
          part.kind !== kind &&
          (part.kind === 'HTTPRoute' || part.kind === 'GRPCRoute') &&
          hostsIntersect(hosts, one.hosts),
      );
      if (older !== undefined) by = `${older.part.kind} ${older.part.key}, which is older and serves the same hosts`;
    }
    if (by === undefined) kept.push(one);
    else conflicts.push({ kind, key, parent: one.parent, message: `gives way to ${by}` });
  }
  return kept;
}

interface Ranked {
  readonly entry: PartEntry;
  readonly part: RoutePart;
  /** Among parts. */
  readonly age: number;
  /** Among the part's entries. */
  readonly place: number;
  /** First rule of the part among the group's. */
  readonly base: number;
}

function httpGroup(members: readonly Attachment[]): { readonly hosts: VirtualHost[]; readonly rules: HttpRule[] } {
  const rules: HttpRule[] = [];
  const bases = new Map<RoutePart, number>();
  for (const { part } of members) {
    if (bases.has(part)) continue;
    bases.set(part, rules.length);
    rules.push(...part.rules);
  }
  const byHost = new Map<string, Map<RoutePart, number>>();
  members.forEach(({ hosts, part }, age) => {
    for (const host of hosts) {
      const parts = byHost.get(host) ?? new Map<RoutePart, number>();
      byHost.set(host, parts);
      if (!parts.has(part)) parts.set(part, age);
    }
  });
  const hosts = [...byHost].map(([host, parts]): VirtualHost => {
    const ranked: Ranked[] = [...parts].flatMap(([part, age]) =>
      part.entries.map((entry, place) => ({ entry, part, age, place, base: bases.get(part) ?? 0 })),
    );
    ranked.sort(byPrecedence);
    return {
      hosts: [host],
      entries: ranked.map(({ base, entry }): HttpEntry => ({ rule: base + entry.rule, match: entry.match })),
    };
  });
  return { hosts, rules };
}

function byPrecedence(a: Ranked, b: Ranked): number {
  // VirtualServices keep their own order, behind the routes of the Gateway API.
  const [x, y] = [a, b].map(({ part }) => (part.kind === 'VirtualService' ? 1 : 0)) as [number, number];
  if (x !== y) return x - y;
  for (let i = 0; i < Math.max(a.entry.rank.length, b.entry.rank.length); i++) {
    const difference = (b.entry.rank[i] ?? 0) - (a.entry.rank[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.age - b.age || a.place - b.place;
}

/** Most specific server name first; the sort is stable, so age decides the rest. */
function bySpecificHost(routes: readonly TlsRoute[]): TlsRoute[] {
  const rank = (host: string): number => (host === '*' ? 0 : host.length + (host.startsWith('*') ? 0 : 1000));
  const single = routes.flatMap((route) => {
    const hosts = route.hosts.length === 0 ? ['*'] : route.hosts;
    return hosts.map((host) => ({ ...route, hosts: [host] }));
  });
  return single.sort((a, b) => rank(b.hosts[0] ?? '') - rank(a.hosts[0] ?? ''));
}
