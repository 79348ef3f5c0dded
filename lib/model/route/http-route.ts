// SPDX-License-Identifier: Apache-2.0
//
// HTTPRoute (gateway.networking.k8s.io/v1): each match of each rule becomes an entry with its rank; a rule that cannot
// be obeyed answers 500 and says so in status, its siblings are obeyed.

import {
  ANY_PATH,
  ANY_REQUEST,
  BLANK_RULE,
  type HttpMatch,
  type HttpRule,
  type NamedMatch,
  type PathMatch,
  type Retry,
  type SessionPersistence,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type { ConvertedRoute, PartEntry, RouteContext } from './context.ts';
import { gatewayDuration } from './duration.ts';
import { convertBackends, convertFilters, Findings, matchProblem } from './filters.ts';
import { convertParents, type RouteContent } from './parents.ts';
import type { Referrer } from './reference.ts';
import type { HttpRoute, HttpRouteMatch, HttpRouteRule, SessionPersistenceSpec, ValueMatch } from './spec.ts';

export function convertHttpRoute(route: HttpRoute, context: RouteContext): ConvertedRoute {
  return convertParents(route, 'HTTPRoute', context, (mesh) => contentOf(route, mesh, context));
}

const DEFAULT_RULES: readonly HttpRouteRule[] = [{}];
const DEFAULT_MATCHES: readonly HttpRouteMatch[] = [{}];

function contentOf(route: HttpRoute, mesh: boolean, context: RouteContext): RouteContent {
  const key = keyOf(route);
  const from: Referrer = { kind: 'HTTPRoute', namespace: namespaceOf(route), mesh };
  const entries: PartEntry[] = [];
  const all = new Findings();
  const invalid: string[] = [];
  const specs = route.spec?.rules ?? DEFAULT_RULES;
  const rules = specs.map((spec, index) => {
    const findings = new Findings();
    const converted = convertRule(spec, index, key, from, context, findings);
    const matches = spec.matches === undefined || spec.matches.length === 0 ? DEFAULT_MATCHES : spec.matches;
    const made = matches.map((match) => matchOf(match, findings));
    if (findings.refProblem !== undefined) all.reference(findings.refProblem);
    for (const { message, reason } of findings.problems) all.problem(`rules[${index}]: ${message}`, reason);
    if (findings.problems.length > 0) invalid.push(`rules[${index}]: ${findings.problems[0]?.message ?? ''}`);
    for (const match of made) entries.push({ match, rule: index, rank: rankOf(match) });
    // Without backends it answers 500.
    return findings.problems.length > 0
      ? { ...BLANK_RULE, name: converted.name, origin: converted.origin, section: converted.section }
      : converted;
  });
  const [problem] = all.problems;
  return {
    part: { kind: 'HTTPRoute', key, created: route.metadata.creationTimestamp ?? '', rules, entries, tls: [], tcp: [] },
    refProblem: all.refProblem,
    invalid,
    refused: problem !== undefined && invalid.length === specs.length ? problem : undefined,
  };
}

function convertRule(
  spec: HttpRouteRule,
  index: number,
  key: string,
  from: Referrer,
  context: RouteContext,
  findings: Findings,
): HttpRule {
  const filters = convertFilters(spec.filters ?? [], from, context, findings);
  const backends = convertBackends(spec.backendRefs ?? [], from, context, findings);
  const redirects = [filters.redirect, ...backends.map((one) => one.redirect)];
  const rewrites = [filters.rewrite, ...backends.map((one) => one.rewrite)];
  const replacesPrefix = [...redirects, ...rewrites].some((one) => one?.path?.kind === 'segments');
  if (replacesPrefix && !(spec.matches ?? []).every(({ path }) => (path?.type ?? 'PathPrefix') === 'PathPrefix')) {
    findings.problem('ReplacePrefixMatch needs PathPrefix matches');
  }
  if (filters.redirect !== undefined && backends.length > 0) {
    findings.problem('RequestRedirect excludes backendRefs', 'IncompatibleFilters');
  }
  return {
    ...BLANK_RULE,
    name: spec.name ?? '',
    origin: `HTTPRoute ${key}`,
    section: `rules[${index}]`,
    backends,
    ...filters,
    timeoutMs: duration(spec.timeouts?.request, 'timeouts.request', findings) ?? 0,
    retry: retryOf(spec, context, findings),
    session: sessionOf(spec.sessionPersistence, findings),
  };
}

function duration(text: string | undefined, field: string, findings: Findings): number | undefined {
  if (text === undefined) return undefined;
  const ms = gatewayDuration(text);
  if (ms === undefined) findings.problem(`${field}: ${text} is no duration`);
  return ms;
}

/** Of a rule that names its retries: failed connections always, and the statuses it lists. */
const NAMED_CONDITIONS: Retry['conditions'] = [
  'connect-failure',
  'refused-stream',
  'reset',
  'unavailable',
  'cancelled',
  'retriable-status-codes',
];

function retryOf({ retry, timeouts }: HttpRouteRule, context: RouteContext, findings: Findings): Retry | undefined {
  const perTryTimeoutMs = duration(timeouts?.backendRequest, 'timeouts.backendRequest', findings) ?? 0;
  if (retry === undefined) return perTryTimeoutMs === 0 ? undefined : { ...context.defaultRetry, perTryTimeoutMs };
  const base = duration(retry.backoff, 'retry.backoff', findings) ?? context.defaultRetry.backoffBaseMs;
  return {
    ...context.defaultRetry,
    attempts: retry.attempts ?? 2,
    perTryTimeoutMs,
    conditions: NAMED_CONDITIONS,
    codes: retry.codes ?? [],
    backoffBaseMs: base,
    backoffMaxMs: base * 10,
  };
}

/** @returns undefined for none */
export function sessionOf(
  spec: SessionPersistenceSpec | undefined,
  findings: Findings,
): SessionPersistence | undefined {
  if (spec === undefined) return undefined;
  const absoluteTimeoutMs = duration(spec.absoluteTimeout, 'sessionPersistence.absoluteTimeout', findings) ?? 0;
  const permanent = spec.cookieConfig?.lifetimeType === 'Permanent';
  if (permanent && absoluteTimeoutMs === 0) {
    findings.problem('sessionPersistence: a Permanent cookie needs absoluteTimeout');
  }
  const kind = spec.type === 'Header' ? 'header' : 'cookie';
  return {
    kind,
    name: spec.sessionName ?? (kind === 'header' ? 'x-session' : 'ambit-session'),
    path: '/',
    lifetimeS: permanent ? Math.ceil(absoluteTimeoutMs / 1000) : 0,
    absoluteTimeoutMs,
  };
}

function matchOf(spec: HttpRouteMatch, findings: Findings): HttpMatch {
  return {
    ...ANY_REQUEST,
    path: pathOf(spec.path, findings),
    method: spec.method === undefined ? undefined : { kind: 'exact', value: spec.method, ignoreCase: false },
    headers: valueMatches(spec.headers, findings, (name) => name.toLowerCase()),
    query: valueMatches(spec.queryParams, findings, (name) => name),
  };
}

/** Of equal names the first counts. */
export function valueMatches(
  list: readonly ValueMatch[] | undefined,
  findings: Findings,
  name: (name: string) => string,
): NamedMatch[] {
  const seen = new Map<string, NamedMatch>();
  for (const one of list ?? []) {
    const key = name(one.name);
    if (!seen.has(key)) seen.set(key, { name: key, value: valueMatch(one.type, one.value, findings) });
  }
  return [...seen.values()];
}

export function valueMatch(type: string | undefined, value: string, findings: Findings): StringMatch {
  const match: StringMatch = { kind: type === 'RegularExpression' ? 'regex' : 'exact', value, ignoreCase: false };
  const problem = matchProblem(match);
  if (problem !== undefined) findings.problem(problem);
  return match;
}

function pathOf(path: HttpRouteMatch['path'], findings: Findings): PathMatch {
  const { type = 'PathPrefix', value = '/' } = path ?? {};
  switch (type) {
    case 'Exact':
      return { kind: 'exact', value, ignoreCase: false };
    case 'PathPrefix': {
      const bare = value.endsWith('/') ? value.slice(0, -1) : value;
      return bare === '' ? ANY_PATH : { kind: 'segments', value: bare, ignoreCase: false };
    }
    case 'RegularExpression':
      return { ...valueMatch('RegularExpression', value, findings), kind: 'regex' };
    default:
      findings.problem(`path type ${type} is not supported`);
      return ANY_PATH;
  }
}

const PATH_RANK: Readonly<Record<PathMatch['kind'], number>> = { exact: 3, segments: 2, prefix: 2, any: 2, regex: 1 };

/** Precedence of matches as the API orders them; regular expressions last, as Istio has it. */
function rankOf({ headers, method, path, query }: HttpMatch): number[] {
  return [PATH_RANK[path.kind], path.value.length, method === undefined ? 0 : 1, headers.length, query.length];
}
