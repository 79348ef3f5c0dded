// SPDX-License-Identifier: Apache-2.0
//
// GRPCRoute (gateway.networking.k8s.io/v1): methods are paths, `/package.Service/Method`.

import {
  ANY_PATH,
  ANY_REQUEST,
  BLANK_RULE,
  type HttpMatch,
  type HttpRule,
  type PathMatch,
} from '#lib/mesh/http/route-table.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type { ConvertedRoute, PartEntry, RouteContext } from './context.ts';
import { convertBackends, convertFilters, Findings } from './filters.ts';
import { sessionOf, valueMatch, valueMatches } from './http-route.ts';
import { convertParents, type RouteContent } from './parents.ts';
import type { Referrer } from './reference.ts';
import type { GrpcRoute, GrpcRouteMatch, GrpcRouteRule } from './spec.ts';

export function convertGrpcRoute(route: GrpcRoute, context: RouteContext): ConvertedRoute {
  return convertParents(route, 'GRPCRoute', context, (mesh) => contentOf(route, mesh, context));
}

const DEFAULT_RULES: readonly GrpcRouteRule[] = [{}];
const DEFAULT_MATCHES: readonly GrpcRouteMatch[] = [{}];
const FILTERS = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror'];

function contentOf(route: GrpcRoute, mesh: boolean, context: RouteContext): RouteContent {
  const key = keyOf(route);
  const from: Referrer = { kind: 'GRPCRoute', namespace: namespaceOf(route), mesh };
  const all = new Findings();
  const invalid: string[] = [];
  const entries: PartEntry[] = [];
  const specs = route.spec?.rules ?? DEFAULT_RULES;
  const rules = specs.map((spec, index): HttpRule => {
    const findings = new Findings();
    for (const { type } of spec.filters ?? []) {
      if (!FILTERS.includes(type)) findings.problem(`filter ${type} is not supported on a GRPCRoute`);
    }
    const own = (spec.filters ?? []).filter(({ type }) => FILTERS.includes(type));
    const named = { ...BLANK_RULE, name: spec.name ?? '', origin: `GRPCRoute ${key}`, section: `rules[${index}]` };
    const rule: HttpRule = {
      ...named,
      backends: convertBackends(spec.backendRefs ?? [], from, context, findings),
      ...convertFilters(own, from, context, findings),
      session: sessionOf(spec.sessionPersistence, findings),
    };
    const matches = spec.matches === undefined || spec.matches.length === 0 ? DEFAULT_MATCHES : spec.matches;
    for (const match of matches) {
      const made = matchOf(match, findings);
      const { method, service } = match.method ?? {};
      entries.push({
        match: made,
        rule: index,
        rank: [service?.length ?? 0, method?.length ?? 0, made.headers.length],
      });
    }
    if (findings.refProblem !== undefined) all.reference(findings.refProblem);
    for (const { message, reason } of findings.problems) all.problem(`rules[${index}]: ${message}`, reason);
    if (findings.problems.length > 0) invalid.push(`rules[${index}]: ${findings.problems[0]?.message ?? ''}`);
    return findings.problems.length > 0 ? named : rule;
  });
  const [problem] = all.problems;
  return {
    part: { kind: 'GRPCRoute', key, created: route.metadata.creationTimestamp ?? '', rules, entries, tls: [], tcp: [] },
    refProblem: all.refProblem,
    invalid,
    refused: problem !== undefined && invalid.length === specs.length ? problem : undefined,
  };
}

function matchOf(spec: GrpcRouteMatch, findings: Findings): HttpMatch {
  const headers = valueMatches(spec.headers, findings, (name) => name.toLowerCase());
  return { ...ANY_REQUEST, path: pathOf(spec.method, findings), headers };
}

function pathOf(spec: GrpcRouteMatch['method'], findings: Findings): PathMatch {
  const { method = '', service = '', type = 'Exact' } = spec ?? {};
  if (method === '' && service === '') return ANY_PATH;
  if (type === 'RegularExpression') {
    const value = `/${part(service)}/${part(method)}`;
    return { ...valueMatch('RegularExpression', value, findings), kind: 'regex' };
  }
  if (type !== 'Exact') findings.problem(`method type ${type} is not supported`);
  if (service === '') return { kind: 'regex', value: `/[^/]+/${quoted(method)}`, ignoreCase: false };
  if (method === '') return { kind: 'segments', value: `/${service}`, ignoreCase: false };
  return { kind: 'exact', value: `/${service}/${method}`, ignoreCase: false };
}

function part(pattern: string): string {
  return pattern === '' ? '[^/]+' : `(?:${pattern})`;
}

function quoted(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
