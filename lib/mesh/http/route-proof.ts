// SPDX-License-Identifier: Apache-2.0
//
// Why a request took a route, in words: the entry that matched, and the ones before it in precedence that did not.

import type { Recorder } from '../proof.ts';
import type { CompiledEntry } from './compiled-entry.ts';
import type { CompiledRoutes } from './compiled-table.ts';
import { patternText } from './pattern.ts';
import { hostOf, pathOf, queryValue, type RequestView } from './request.ts';
import type { HttpEntry, HttpMatch, HttpRoutes, NamedMatch, PathMatch } from './route-table.ts';

/** How many entries before the one that matched are told of. */
const SHOWN = 8;

export function proveEntry(
  { routes }: CompiledRoutes,
  found: CompiledEntry,
  request: RequestView,
  rec: Recorder,
): void {
  const entries = entriesFor(routes, request);
  const at = entries.indexOf(found.entry);
  proveBefore(routes, at < 0 ? [] : entries.slice(0, at), request, rec);
  const { origin, section } = found.rule.rule;
  rec.step(origin, section, matchText(found.entry.match), 'is the first match');
}

export function proveMisses({ routes }: CompiledRoutes, request: RequestView, rec: Recorder): void {
  const entries = entriesFor(routes, request);
  proveBefore(routes, entries, request, rec);
  rec.step(
    `${request.method} ${request.authority}${request.path}`,
    '',
    `${entries.length} matches of routes`,
    'none fits: 404',
    'a rule of a route matches the request',
  );
}

function entriesFor(routes: HttpRoutes, request: RequestView): readonly HttpEntry[] {
  const host = hostOf(request.authority);
  const fits = (pattern: string): boolean =>
    pattern === '*' || pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
  const named = routes.hosts.flatMap(({ entries, hosts }) =>
    hosts.filter(fits).map((pattern) => ({
      pattern,
      rank: pattern === '*' ? 0 : pattern.length + (pattern.startsWith('*') ? 0 : 1e6),
      entries,
    })),
  );
  named.sort((a, b) => b.rank - a.rank);
  const [first] = named;
  const asked = routes.exclusiveHosts ? named.filter((one) => one.pattern === first?.pattern) : named;
  return asked.flatMap((one) => one.entries);
}

function proveBefore(routes: HttpRoutes, entries: readonly HttpEntry[], request: RequestView, rec: Recorder): void {
  for (const { match, rule } of entries.slice(0, SHOWN)) {
    const { origin = '', section = '' } = routes.rules[rule] ?? {};
    rec.step(origin, section, matchText(match), `does not match: ${missText(match, request)}`, '', 1);
  }
  if (entries.length > SHOWN) rec.step('', '', '', `… ${entries.length - SHOWN} more do not match`, '', 1);
}

export function pathText({ ignoreCase, kind, value }: PathMatch): string {
  const suffix = ignoreCase ? ' in any case' : '';
  switch (kind) {
    case 'any':
      return '';
    case 'exact':
      return `path ${value}${suffix}`;
    case 'prefix':
      return `path beginning ${value}${suffix}`;
    case 'segments':
      return value === '' ? 'path /' : `path ${value} and below${suffix}`;
    case 'regex':
      return `path matching ${value}`;
  }
}

/** What a match asks for: `path /cart and below, method is "GET"`. */
export function matchText(match: HttpMatch): string {
  const parts = [pathText(match.path)];
  const add = (label: string, value: HttpMatch['method']): void => {
    if (value !== undefined) parts.push(`${label} ${patternText(value)}`);
  };
  add('method', match.method);
  add('scheme', match.scheme);
  add('authority', match.authority);
  for (const { name, value } of match.headers) add(`header ${name}`, value);
  for (const { name, value } of match.withoutHeaders) parts.push(`no header ${name} that ${patternText(value)}`);
  for (const { name, value } of match.query) add(`parameter ${name}`, value);
  for (const { name, value } of match.claims) add(`claim ${name.replaceAll('\u0000', '.')}`, value);
  if (match.port !== 0) parts.push(`port ${match.port}`);
  if (match.sourceNamespace !== '') parts.push(`clients of namespace ${match.sourceNamespace}`);
  const shown = parts.filter((part) => part !== '');
  return shown.length === 0 ? 'every request' : shown.join(', ');
}

/** What the request has instead of what a match that failed asks for. */
function missText(match: HttpMatch, request: RequestView): string {
  const had: string[] = [];
  if (match.path.kind !== 'any') had.push(`the path is ${pathOf(request.path)}`);
  if (match.method !== undefined) had.push(`the method is ${request.method}`);
  if (match.authority !== undefined) had.push(`the authority is ${request.authority}`);
  const named = (label: string, list: readonly NamedMatch[], read: (name: string) => string | undefined): void => {
    for (const { name } of list) {
      const value = read(name);
      had.push(value === undefined ? `there is no ${label} ${name}` : `${label} ${name} is "${value}"`);
    }
  };
  named('header', [...match.headers, ...match.withoutHeaders], (name) => request.header(name));
  named('parameter', match.query, (name) => queryValue(request.path, name));
  if (match.sourceNamespace !== '') had.push(`the client is in ${request.identity?.namespace ?? 'no namespace'}`);
  return had.join(', ');
}
