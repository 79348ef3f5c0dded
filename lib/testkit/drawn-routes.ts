// SPDX-License-Identifier: Apache-2.0
//
// Route tables and requests drawn from octets, of so few words that they meet often.

import type { RequestFields } from '#lib/mesh/http/request.ts';
import {
  ANY_REQUEST,
  BLANK_RULE,
  backendTo,
  type HttpMatch,
  type HttpRoutes,
  type NamedMatch,
  type PathMatch,
  type RouteTable,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import { Choices } from './choices.ts';
import { client } from './routes.ts';

/** What is asked of a table: a line for `request` in routes.ts, and the rest. */
export interface DrawnRequest {
  readonly line: string;
  readonly fields: RequestFields;
}

const ELEMENTS = ['a', 'b', 'A', 'ab', '', '1'];
const WORDS = ['a', 'b', 'ab', 'A', ''];
const REGEXES = ['a.*', '.*b', '[ab]+', 'a|b', '(?:ab)?', 'a?b', ''];
const PATH_REGEXES = ['/a.*', '/[ab]/.*', '/a|/b', '/a/?', '/ab{0,1}', '.*', '/a/b+', '/(a|b)/1'];
const PATH_KINDS = ['any', 'exact', 'prefix', 'segments', 'segments', 'regex'] as const;
const STRING_KINDS = ['present', 'exact', 'prefix', 'suffix', 'regex'] as const;
const PATTERNS = ['*', 'a.x', '*.x', '*.a.x', 'b.x'];
const HOSTS = ['a.x', 'A.X:80', 'b.x', 'c.a.x', 'x', 'y', ''];
const QUERIES = ['', '?x=a', '?x=&y=b', '?y=ab&x=b&x=a', '?xx=a'];

const RULES = Array.from({ length: 4 }, (_, i) => ({
  ...BLANK_RULE,
  name: `r${i}`,
  backends: [backendTo({ service: `ns/${i}`, port: 80, subset: '' })],
}));

/** Up to `requests` requests and a table of one or two groups, a few hosts, up to a few dozen matches. */
export function drawRoutes(
  bytes: Uint8Array,
  requests: number,
): { readonly table: RouteTable; readonly requests: readonly DrawnRequest[] } {
  const from = new Choices(bytes);
  // Requests first: octets that run out make the table smaller.
  const asked = from.list(1, requests, () => drawRequest(from));
  const all = drawGroup(from, '');
  const own = from.once(2) ? [drawGroup(from, 'web')] : [];
  return { requests: asked, table: { name: 't', http: [...own, all], tls: [], tcp: [] } };
}

function drawRequest(from: Choices): DrawnRequest {
  const line = `${from.pick(['GET', 'PUT'])} ${from.pick(HOSTS)}${drawPath(from)}${from.pick(QUERIES)}`;
  const headers: Record<string, string> = {};
  for (let left = from.below(3); left > 0; left--) headers[from.pick(['x', 'y', 'z'])] = from.pick(WORDS);
  const namespace = from.pick(['', 'web', 'shop']);
  return {
    line,
    fields: { headers, port: from.pick([80, 81]), identity: namespace === '' ? undefined : client(namespace) },
  };
}

function drawGroup(from: Choices, clientNamespace: string): HttpRoutes {
  return {
    clientNamespace,
    exclusiveHosts: from.once(2),
    rules: RULES,
    hosts: from.list(1, 3, () => ({
      hosts: [...new Set(from.list(1, 2, () => from.pick(PATTERNS)))],
      entries: from.list(0, 24, () => ({ rule: from.below(4), match: drawMatch(from) })),
    })),
  };
}

function drawMatch(from: Choices): HttpMatch {
  return {
    ...ANY_REQUEST,
    path: drawPathMatch(from),
    method: from.once(3) ? { kind: 'exact', value: from.pick(['GET', 'PUT']), ignoreCase: false } : undefined,
    headers: drawNamed(from),
    withoutHeaders: drawNamed(from),
    query: drawNamed(from),
    authority: from.once(3) ? drawString(from) : undefined,
    port: from.pick([0, 0, 0, 80, 81]),
    sourceNamespace: from.pick(['', '', '', 'web']),
  };
}

function drawPath(from: Choices): string {
  return `/${from.list(0, 3, () => from.pick(ELEMENTS)).join('/')}`;
}

function drawPathMatch(from: Choices): PathMatch {
  const kind = from.pick(PATH_KINDS);
  if (kind === 'any') return { kind, value: '', ignoreCase: false };
  const value = kind === 'regex' ? from.pick(PATH_REGEXES) : drawPath(from);
  return { kind, value: kind === 'segments' ? value.replace(/\/+$/, '') : value, ignoreCase: from.once(2) };
}

function drawString(from: Choices): StringMatch {
  const kind = from.pick(STRING_KINDS);
  if (kind === 'present') return { kind, value: '', ignoreCase: false };
  return { kind, value: from.pick(kind === 'regex' ? REGEXES : WORDS), ignoreCase: from.once(2) };
}

function drawNamed(from: Choices): NamedMatch[] {
  if (!from.once(4)) return [];
  return from.list(0, 2, () => ({ name: from.pick(['x', 'y']), value: drawString(from) }));
}
