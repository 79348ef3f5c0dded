// SPDX-License-Identifier: Apache-2.0
//
// Filters of Gateway API routes as parts of a rule or backend. A filter that cannot be obeyed is never skipped: what
// it stands on answers 500.

import { Pattern } from '#lib/mesh/http/pattern.ts';
import {
  type Backend,
  backendTo,
  type Cors,
  type HeaderChanges,
  type Mirror,
  type PathRewrite,
  type Redirect,
  type Rewrite,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import type { RouteContext } from './context.ts';
import { type Referrer, type RefProblem, resolveBackend } from './reference.ts';
import type { BackendRef, HeaderField, HeaderModifier, ObjectRef, PathModifier, RouteFilter } from './spec.ts';

export interface ConvertedFilters {
  readonly requestHeaders: HeaderChanges | undefined;
  readonly responseHeaders: HeaderChanges | undefined;
  readonly redirect: Redirect | undefined;
  readonly rewrite: Rewrite | undefined;
  readonly mirrors: readonly Mirror[];
  readonly cors: Cors | undefined;
}

/** What conversions find on their way. */
export class Findings {
  refProblem: RefProblem | undefined;
  readonly problems: { readonly reason: string; readonly message: string }[] = [];

  reference(problem: RefProblem): void {
    this.refProblem ??= problem;
  }

  problem(message: string, reason = 'UnsupportedValue'): void {
    this.problems.push({ reason, message });
  }
}

export function convertFilters(
  filters: readonly RouteFilter[],
  from: Referrer,
  context: RouteContext,
  findings: Findings,
): ConvertedFilters {
  let requestHeaders: HeaderChanges | undefined;
  let responseHeaders: HeaderChanges | undefined;
  let redirect: Redirect | undefined;
  let rewrite: Rewrite | undefined;
  let cors: Cors | undefined;
  const mirrors: Mirror[] = [];
  for (const filter of filters) {
    switch (filter.type) {
      case 'RequestHeaderModifier':
        requestHeaders = headerChanges(filter.requestHeaderModifier ?? {});
        break;
      case 'ResponseHeaderModifier':
        responseHeaders = headerChanges(filter.responseHeaderModifier ?? {});
        break;
      case 'RequestRedirect':
        redirect = redirectOf(filter.requestRedirect ?? {}, findings);
        break;
      case 'URLRewrite':
        rewrite = {
          authority: filter.urlRewrite?.hostname ?? '',
          path: pathRewrite(filter.urlRewrite?.path, findings),
        };
        break;
      case 'RequestMirror':
        if (filter.requestMirror !== undefined) mirrors.push(mirrorOf(filter.requestMirror, from, context, findings));
        break;
      case 'CORS':
        cors = corsOf(filter.cors ?? {});
        break;
      default:
        findings.problem(`filter ${filter.type} is not supported`);
    }
  }
  if (redirect !== undefined && rewrite !== undefined) {
    findings.problem('RequestRedirect and URLRewrite exclude each other', 'IncompatibleFilters');
  }
  return { requestHeaders, responseHeaders, redirect, rewrite, mirrors, cors };
}

/** Names in lower case; of equal names the first counts. */
export function headerChanges({ add = [], remove = [], set = [] }: HeaderModifier): HeaderChanges {
  const first = (list: readonly HeaderField[]): HeaderField[] => {
    const seen = new Map<string, HeaderField>();
    for (const { name, value } of list) {
      const lower = name.toLowerCase();
      if (!seen.has(lower)) seen.set(lower, { name: lower, value });
    }
    return [...seen.values()];
  };
  return { set: first(set), add: first(add), remove: remove.map((name) => name.toLowerCase()) };
}

function pathRewrite(path: PathModifier | undefined, findings: Findings): PathRewrite | undefined {
  if (path === undefined) return undefined;
  switch (path.type) {
    case 'ReplaceFullPath':
      return { kind: 'full', value: path.replaceFullPath ?? '/', pattern: '' };
    case 'ReplacePrefixMatch':
      return { kind: 'segments', value: path.replacePrefixMatch ?? '/', pattern: '' };
    default:
      findings.problem(`path modifier ${path.type} is not supported`);
      return undefined;
  }
}

const REDIRECTS = [301, 302, 303, 307, 308];

function redirectOf(spec: NonNullable<RouteFilter['requestRedirect']>, findings: Findings): Redirect {
  const { hostname = '', path, port, scheme = '', statusCode: status = 302 } = spec;
  if (!REDIRECTS.includes(status)) findings.problem(`statusCode ${status} is no redirect`);
  const portFrom = port !== undefined ? 'field' : scheme === '' ? 'listener' : 'scheme';
  return { status, scheme, hostname, portFrom, port: port ?? 0, path: pathRewrite(path, findings) };
}

function mirrorOf(
  { backendRef, fraction, percent }: NonNullable<RouteFilter['requestMirror']>,
  from: Referrer,
  context: RouteContext,
  findings: Findings,
): Mirror {
  const share = fraction === undefined ? (percent ?? 100) / 100 : fraction.numerator / (fraction.denominator ?? 100);
  return { backend: backendOf(backendRef, from, context, findings), share: Math.min(1, Math.max(0, share)) };
}

/** A backend without filters. */
export function backendOf(
  ref: ObjectRef,
  from: Referrer,
  context: RouteContext,
  findings: Findings,
  weight = 1,
): Backend {
  const { problem, target } = resolveBackend(ref, from, context);
  if (problem === undefined) return backendTo(target, weight);
  findings.reference(problem);
  return { ...backendTo({ service: '', port: 0, subset: '' }, weight), target: undefined, invalid: problem.reason };
}

export function convertBackends(
  refs: readonly BackendRef[],
  from: Referrer,
  context: RouteContext,
  findings: Findings,
): Backend[] {
  return refs.map((ref) => {
    const backend = backendOf(ref, from, context, findings, ref.weight ?? 1);
    if (ref.filters === undefined || ref.filters.length === 0) return backend;
    const own = new Findings();
    const { cors, mirrors, redirect, requestHeaders, responseHeaders, rewrite } = convertFilters(
      ref.filters,
      from,
      context,
      own,
    );
    if (cors !== undefined) own.problem('filter CORS is not supported on a backendRef');
    if (own.refProblem !== undefined) findings.reference(own.refProblem);
    for (const { message, reason } of own.problems) findings.problem(message, reason);
    return { ...backend, mirrors, redirect, requestHeaders, responseHeaders, rewrite };
  });
}

/** `*`, or `scheme://host[:port]` with `*` in the host for any characters. */
function originMatch(origin: string): StringMatch {
  if (origin === '*') return { kind: 'present', value: '', ignoreCase: false };
  if (!origin.includes('*')) return { kind: 'exact', value: origin, ignoreCase: true };
  const value = origin
    .split('*')
    .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^/]*');
  return { kind: 'regex', value, ignoreCase: true };
}

const DEFAULT_MAX_AGE_S = 5;

function corsOf(spec: NonNullable<RouteFilter['cors']>): Cors {
  return {
    origins: (spec.allowOrigins ?? []).map(originMatch),
    methods: spec.allowMethods ?? [],
    headers: spec.allowHeaders ?? [],
    expose: spec.exposeHeaders ?? [],
    maxAgeS: spec.maxAge ?? DEFAULT_MAX_AGE_S,
    credentials: spec.allowCredentials === true,
    forwardUnmatched: false,
  };
}

/** Why a condition on a string can never be met; undefined when it can. */
export function matchProblem(match: StringMatch): string | undefined {
  const { problem } = new Pattern(match);
  return problem === '' ? undefined : problem;
}
