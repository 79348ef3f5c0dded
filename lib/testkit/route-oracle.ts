// SPDX-License-Identifier: Apache-2.0
//
// Routing as one would write it without thinking of speed: every entry asked one after another, every pattern by the
// plainest means. The compiled tables must agree with it (drawn-routes.ts draws some to try).

import type { RequestView } from '#lib/mesh/http/request.ts';
import type {
  HttpEntry,
  HttpMatch,
  NamedMatch,
  PathMatch,
  RouteTable,
  StringMatch,
} from '#lib/mesh/http/route-table.ts';

/** Expressions asked before: to compile one takes longer than all the rest. */
const expressions = new Map<string, RegExp>();

function expression(source: string, flags: string): RegExp {
  const key = `${flags}:${source}`;
  const known = expressions.get(key);
  if (known !== undefined) return known;
  const made = new RegExp(`^(?:${source})$`, flags);
  expressions.set(key, made);
  return made;
}

function stringFits({ ignoreCase, kind, value }: StringMatch, text: string): boolean {
  const [a, b] = ignoreCase && kind !== 'regex' ? [value.toLowerCase(), text.toLowerCase()] : [value, text];
  switch (kind) {
    case 'exact':
      return a === b;
    case 'prefix':
      return b.startsWith(a);
    case 'suffix':
      return b.endsWith(a);
    case 'regex':
      return expression(value, ignoreCase ? 'i' : '').test(text);
    case 'present':
      return true;
  }
}

function pathFits({ ignoreCase, kind, value }: PathMatch, path: string): boolean {
  switch (kind) {
    case 'any':
      return true;
    case 'exact':
    case 'prefix':
    case 'regex':
      return stringFits({ kind, value, ignoreCase }, path);
    case 'segments': {
      const [a, b] = ignoreCase ? [value.toLowerCase(), path.toLowerCase()] : [value, path];
      const [wanted, has] = [a.split('/'), b.split('/')];
      return wanted.every((element, i) => element === has[i]);
    }
  }
}

function parameter(path: string, name: string): string | undefined {
  const query = path.includes('?') ? path.slice(path.indexOf('?') + 1) : undefined;
  for (const pair of query?.split('&') ?? []) {
    const [key = '', ...rest] = pair.split('=');
    if (key === name) return rest.join('=');
  }
  return undefined;
}

function matchFits(match: HttpMatch, request: RequestView): boolean {
  const optional = (wanted: StringMatch | undefined, text: string): boolean =>
    wanted === undefined || stringFits(wanted, text);
  const named = (list: readonly NamedMatch[], read: (name: string) => string | undefined): boolean =>
    list.every(({ name, value }) => {
      const text = read(name);
      return text !== undefined && stringFits(value, text);
    });
  const header = (name: string): string | undefined => request.header(name);
  return (
    pathFits(match.path, request.path.replace(/[?#].*$/s, '')) &&
    optional(match.method, request.method) &&
    optional(match.scheme, request.scheme) &&
    optional(match.authority, request.authority) &&
    named(match.headers, header) &&
    !match.withoutHeaders.some((one) => named([one], header)) &&
    named(match.query, (name) => parameter(request.path, name)) &&
    (match.port === 0 || match.port === request.port) &&
    (match.sourceNamespace === '' || match.sourceNamespace === request.identity?.namespace)
  );
}

function hostRank(pattern: string, host: string): number {
  if (pattern === '*') return 1;
  if (pattern.startsWith('*.')) return host.endsWith(pattern.slice(1)) ? 1 + pattern.length : 0;
  return pattern === host ? 1e6 : 0;
}

/** The first entry that matches, as text of its rule's name and place; '' for none. */
export function naiveRoute(table: RouteTable, request: RequestView): HttpEntry | undefined {
  const routes = table.http.find(
    ({ clientNamespace }) => clientNamespace === '' || clientNamespace === request.identity?.namespace,
  );
  if (routes === undefined) return undefined;
  const host = request.authority.replace(/:\d+$/, '').toLowerCase();
  const ranks = new Map<number, HttpEntry[]>();
  for (const { entries, hosts } of routes.hosts) {
    for (const pattern of hosts) {
      const rank = hostRank(pattern, host);
      if (rank > 0) ranks.set(rank, [...(ranks.get(rank) ?? []), ...entries]);
    }
  }
  const groups = [...ranks].sort(([a], [b]) => b - a).map(([, entries]) => entries);
  for (const entries of routes.exclusiveHosts ? groups.slice(0, 1) : groups) {
    const found = entries.find(({ match }) => matchFits(match, request));
    if (found !== undefined) return found;
  }
  return undefined;
}
