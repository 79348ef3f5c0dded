// SPDX-License-Identifier: Apache-2.0
//
// Matches of VirtualServices as matches of route tables, and two of them as one where a root delegates.

import { CLAIM_SEPARATOR } from '#lib/mesh/http/claim.ts';
import {
  ANY_PATH,
  ANY_REQUEST,
  type HttpMatch,
  type NamedMatch,
  type PathMatch,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import { type Findings, matchProblem } from './filters.ts';
import type { StringMatchSpec, VsMatch } from './virtual-service-spec.ts';

/** The name by which matches and VirtualServices mean the mesh itself, as opposed to a Gateway. */
export const MESH = 'mesh';
const CLAIMS = '@request.auth.claims';

/** @returns undefined for a match that no request at this proxy can meet */
export function vsMatch(spec: VsMatch, gateway: string, findings: Findings): HttpMatch | undefined {
  // The labels of a client are not known here.
  if (spec.sourceLabels !== undefined && Object.keys(spec.sourceLabels).length > 0) return undefined;
  if (spec.gateways !== undefined && spec.gateways.length > 0 && !spec.gateways.includes(gateway)) return undefined;
  const named = (of: Readonly<Record<string, StringMatchSpec>> | undefined): [string, StringMatch][] =>
    Object.entries(of ?? {}).map(([name, value]) => [name, stringMatch(value, findings)]);
  const headers = named(spec.headers);
  return {
    ...ANY_REQUEST,
    path: pathOf(spec, findings),
    method: spec.method && stringMatch(spec.method, findings),
    scheme: spec.scheme && stringMatch(spec.scheme, findings),
    authority: spec.authority && stringMatch(spec.authority, findings),
    headers: headers.filter(([name]) => !name.startsWith(CLAIMS)).map(header),
    claims: headers.flatMap(([name, value]) => claimMatch(name, value)),
    withoutHeaders: named(spec.withoutHeaders).map(header),
    query: named(spec.queryParams).map(([name, value]) => ({ name, value })),
    port: spec.port ?? 0,
    sourceNamespace: spec.sourceNamespace ?? '',
  };
}

function header([name, value]: [string, StringMatch]): NamedMatch {
  return { name: name.toLowerCase(), value };
}

/** `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`. */
function claimMatch(name: string, value: StringMatch): NamedMatch[] {
  if (!name.startsWith(CLAIMS)) return [];
  const rest = name.slice(CLAIMS.length);
  const names = rest.startsWith('.')
    ? rest.slice(1).split('.')
    : [...rest.matchAll(/\[([^\]]*)\]/g)].map(([, one = '']) => one);
  return [{ name: names.join(CLAIM_SEPARATOR), value }];
}

export function stringMatch(spec: StringMatchSpec, findings: Findings, ignoreCase = false): StringMatch {
  const match = kindOf(spec, ignoreCase);
  const problem = matchProblem(match);
  if (problem !== undefined) findings.problem(problem);
  return match;
}

function kindOf({ exact, prefix, regex }: StringMatchSpec, ignoreCase: boolean): StringMatch {
  if (regex !== undefined) return { kind: 'regex', value: regex, ignoreCase: false };
  if (prefix !== undefined) return { kind: 'prefix', value: prefix, ignoreCase };
  if (exact !== undefined) return { kind: 'exact', value: exact, ignoreCase };
  return { kind: 'present', value: '', ignoreCase: false };
}

function pathOf({ ignoreUriCase = false, uri }: VsMatch, findings: Findings): PathMatch {
  if (uri === undefined) return ANY_PATH;
  const { ignoreCase, kind, value } = stringMatch(uri, findings, ignoreUriCase);
  switch (kind) {
    case 'exact':
    case 'prefix':
    case 'regex':
      return kind === 'prefix' && value === '/' ? ANY_PATH : { kind, value, ignoreCase };
    case 'suffix':
    case 'present':
      return ANY_PATH;
  }
}

/**
 * What meets both matches.
 * @returns undefined when their paths cannot be one condition
 */
export function bothMatches(root: HttpMatch, delegate: HttpMatch): HttpMatch | undefined {
  const path = bothPaths(root.path, delegate.path);
  if (path === undefined) return undefined;
  const pick = (a: StringMatch | undefined, b: StringMatch | undefined): StringMatch | undefined | 'both' =>
    a !== undefined && b !== undefined && (a.kind !== b.kind || a.value !== b.value) ? 'both' : (b ?? a);
  const [method, scheme, authority] = [
    pick(root.method, delegate.method),
    pick(root.scheme, delegate.scheme),
    pick(root.authority, delegate.authority),
  ];
  if (method === 'both' || scheme === 'both' || authority === 'both') return undefined;
  if (root.port !== 0 && delegate.port !== 0 && root.port !== delegate.port) return undefined;
  return {
    path,
    method,
    scheme,
    authority,
    headers: [...root.headers, ...delegate.headers],
    withoutHeaders: [...root.withoutHeaders, ...delegate.withoutHeaders],
    query: [...root.query, ...delegate.query],
    claims: [...root.claims, ...delegate.claims],
    port: delegate.port === 0 ? root.port : delegate.port,
    sourceNamespace: delegate.sourceNamespace === '' ? root.sourceNamespace : delegate.sourceNamespace,
  };
}

function bothPaths(root: PathMatch, delegate: PathMatch): PathMatch | undefined {
  if (root.kind === 'any') return delegate;
  if (delegate.kind === 'any') return root;
  if (root.kind === delegate.kind && root.value === delegate.value) return delegate;
  if (root.kind === 'prefix' && delegate.kind !== 'regex' && delegate.value.startsWith(root.value)) return delegate;
  return undefined;
}
