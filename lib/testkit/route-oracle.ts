// SPDX-License-Identifier: Apache-2.0
//
// Routing as one would write it without thinking of speed: every entry asked one after another, every pattern by the
// plainest means. The compiled tables must agree with it; and the random tables and requests to try that with, drawn
// from so few words that they meet often.

import type { RequestFields, RequestView } from '#lib/mesh/http/request.ts';
import {
  ANY_REQUEST,
  BLANK_RULE,
  backendTo,
  type HttpEntry,
  type HttpMatch,
  type HttpRoutes,
  type NamedMatch,
  type PathMatch,
  type RouteTable,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import fc from '#lib/testkit/properties.ts';
import { client } from './routes.ts';

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
      return new RegExp(`^(?:${value})$`, ignoreCase ? 'i' : '').test(text);
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

const element = fc.constantFrom('a', 'b', 'A', 'ab', '', '1');
const path = fc.array(element, { maxLength: 3 }).map((elements) => `/${elements.join('/')}`);
const word = fc.constantFrom('a', 'b', 'ab', 'A', '');
const regex = fc.constantFrom('a.*', '.*b', '[ab]+', 'a|b', '(?:ab)?', 'a?b', '');
const pathRegex = fc.constantFrom('/a.*', '/[ab]/.*', '/a|/b', '/a/?', '/ab{0,1}', '.*', '/a/b+', '/(a|b)/1');

const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact', 'prefix', 'suffix'), value: word, ignoreCase: fc.boolean() }),
  fc.record({ kind: fc.constant('regex' as const), value: regex, ignoreCase: fc.boolean() }),
  fc.constant({ kind: 'present', value: '', ignoreCase: false } as const),
);

const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('exact', 'prefix'), value: path, ignoreCase: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('segments' as const),
      value: path.map((text) => text.replace(/\/+$/, '')),
      ignoreCase: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant('regex' as const), value: pathRegex, ignoreCase: fc.boolean() }),
  fc.constant({ kind: 'any', value: '', ignoreCase: false } as const),
);

const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { freq: 2, nil: undefined });
const namedMatches = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  fc.array(fc.record({ name: fc.constantFrom('x', 'y'), value: stringMatch }), { maxLength: 2 }),
);

const match: fc.Arbitrary<HttpMatch> = fc
  .record({
    path: pathMatch,
    method: seldom(
      fc.record({
        kind: fc.constant('exact' as const),
        value: fc.constantFrom('GET', 'PUT'),
        ignoreCase: fc.constant(false),
      }),
    ),
    headers: namedMatches,
    withoutHeaders: namedMatches,
    query: namedMatches,
    authority: seldom(stringMatch),
    port: fc.constantFrom(0, 0, 0, 80, 81),
    sourceNamespace: fc.constantFrom('', '', '', 'web'),
  })
  .map((fields) => ({ ...ANY_REQUEST, ...fields }));

const rules = Array.from({ length: 4 }, (_, i) => ({
  ...BLANK_RULE,
  name: `r${i}`,
  backends: [backendTo({ service: `ns/${i}`, port: 80, subset: '' })],
}));

const host = fc.constantFrom('*', 'a.x', '*.x', '*.a.x', 'b.x');

const routes = (clientNamespace: string): fc.Arbitrary<HttpRoutes> =>
  fc.record({
    clientNamespace: fc.constant(clientNamespace),
    exclusiveHosts: fc.boolean(),
    rules: fc.constant(rules),
    hosts: fc.array(
      fc.record({
        hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2 }),
        entries: fc.array(fc.record({ rule: fc.nat(3), match }), { maxLength: 24 }),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  });

/** Tables of one or two groups, a few hosts, up to a few dozen matches. */
export const anyTable: fc.Arbitrary<RouteTable> = fc
  .tuple(fc.option(routes('web'), { nil: undefined }), routes(''))
  .map(([own, all]) => ({ name: 't', http: own === undefined ? [all] : [own, all], tls: [], tcp: [] }));

export interface RequestLine {
  readonly line: string;
  readonly fields: RequestFields;
}

export const anyRequest: fc.Arbitrary<RequestLine> = fc
  .record({
    method: fc.constantFrom('GET', 'PUT'),
    authority: fc.constantFrom('a.x', 'A.X:80', 'b.x', 'c.a.x', 'x', 'y', ''),
    path,
    query: fc.constantFrom('', '?x=a', '?x=&y=b', '?y=ab&x=b&x=a', '?xx=a'),
    headers: fc.dictionary(fc.constantFrom('x', 'y', 'z'), word, { maxKeys: 2 }),
    port: fc.constantFrom(80, 81),
    namespace: fc.constantFrom('', 'web', 'shop'),
  })
  .map(({ authority, headers, method, namespace, path: text, port, query }) => ({
    line: `${method} ${authority}${text}${query}`,
    fields: { headers, port, identity: namespace === '' ? undefined : client(namespace) },
  }));
