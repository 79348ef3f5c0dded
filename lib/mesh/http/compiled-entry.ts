// SPDX-License-Identifier: Apache-2.0
//
// One match of a route made ready for requests, with the rule behind it: patterns compiled, headers to change put in order.

import { claimHolds } from './claim.ts';
import { NamedPattern, Pattern } from './pattern.ts';
import { queryValue, type RequestView } from './request.ts';
import { rewriteProblem } from './rewrite.ts';
import type { Backend, HeaderChanges, HttpEntry, HttpMatch, HttpRule, StringMatch } from './route-table.ts';

/** A backend with what is changed on the way to it and back. */
export interface CompiledBackend {
  readonly backend: Backend;
  readonly requestHeaders: readonly HeaderChanges[];
  readonly responseHeaders: readonly HeaderChanges[];
}

export interface CompiledRule {
  readonly rule: HttpRule;
  readonly backends: readonly CompiledBackend[];
  /** Sum of the weights. */
  readonly weight: number;
  readonly responseHeaders: readonly HeaderChanges[];
  /** What could not be compiled; '' when all is well. Such a rule answers 500. */
  readonly problem: string;
}

export class CompiledEntry {
  readonly entry: HttpEntry;
  readonly rule: CompiledRule;
  readonly method: Pattern | undefined;
  readonly #scheme: Pattern | undefined;
  readonly #authority: Pattern | undefined;
  /** Of paths that the index cannot answer for alone. */
  readonly #path: Pattern | undefined;
  readonly headers: readonly NamedPattern[];
  readonly #without: readonly NamedPattern[];
  readonly query: readonly NamedPattern[];
  readonly #claims: readonly NamedPattern[];
  /** Nothing but the path counts. */
  readonly byPath: boolean;
  /** And of that the index knows all. */
  readonly #plain: boolean;

  constructor(entry: HttpEntry, rule: CompiledRule) {
    const { match } = entry;
    const { kind, value, ignoreCase } = match.path;
    this.entry = entry;
    this.rule = rule;
    this.method = optional(match.method);
    this.#scheme = optional(match.scheme);
    this.#authority = optional(match.authority);
    this.#path = kind === 'regex' ? new Pattern({ kind, value, ignoreCase }) : undefined;
    this.headers = match.headers.map((one) => new NamedPattern(one));
    this.#without = match.withoutHeaders.map((one) => new NamedPattern(one));
    this.query = match.query.map((one) => new NamedPattern(one));
    this.#claims = match.claims.map((one) => new NamedPattern(one));
    this.byPath = isPathMatch(match);
    this.#plain = kind !== 'regex' && this.byPath;
  }

  /** What cannot be matched; '' when all is well. */
  get problem(): string {
    const patterns = [this.method, this.#scheme, this.#authority, this.#path];
    for (const { pattern } of [...this.headers, ...this.#without, ...this.query, ...this.#claims]) {
      patterns.push(pattern);
    }
    return patterns.find((one) => one !== undefined && one.problem !== '')?.problem ?? '';
  }

  /** Whether all but the path fits, and the path too where the index left that open. */
  matches(request: RequestView, length: number): boolean {
    if (this.#plain) return true;
    const { match } = this.entry;
    if (this.method !== undefined && !this.method.test(request.method)) return false;
    if (match.port !== 0 && match.port !== request.port) return false;
    for (const { name, pattern } of this.headers) {
      const value = request.header(name);
      if (value === undefined || !pattern.test(value)) return false;
    }
    return this.#rest(request, length);
  }

  #rest(request: RequestView, length: number): boolean {
    const { path } = request;
    for (const { name, pattern } of this.query) {
      const value = queryValue(path, name);
      if (value === undefined || !pattern.test(value)) return false;
    }
    for (const { name, pattern } of this.#without) {
      const value = request.header(name);
      if (value !== undefined && pattern.test(value)) return false;
    }
    const { sourceNamespace } = this.entry.match;
    if (sourceNamespace !== '' && request.identity?.namespace !== sourceNamespace) return false;
    if (this.#scheme !== undefined && !this.#scheme.test(request.scheme)) return false;
    if (this.#authority !== undefined && !this.#authority.test(request.authority)) return false;
    for (const one of this.#claims) if (!claimHolds(request.claims, one)) return false;
    return this.#path === undefined || this.#path.test(length === path.length ? path : path.slice(0, length));
  }
}

/** Whether nothing but the path counts. */
function isPathMatch({
  authority,
  claims,
  headers,
  method,
  port,
  query,
  scheme,
  sourceNamespace,
  withoutHeaders,
}: HttpMatch): boolean {
  return (
    method === undefined &&
    scheme === undefined &&
    authority === undefined &&
    headers.length + withoutHeaders.length + query.length + claims.length === 0 &&
    port === 0 &&
    sourceNamespace === ''
  );
}

function optional(match: StringMatch | undefined): Pattern | undefined {
  return match === undefined ? undefined : new Pattern(match);
}

export function compileRule(rule: HttpRule): CompiledRule {
  const requestHeaders = rule.requestHeaders === undefined ? [] : [rule.requestHeaders];
  const responseHeaders = rule.responseHeaders === undefined ? [] : [rule.responseHeaders];
  const backends = rule.backends.map((backend): CompiledBackend => {
    return {
      backend,
      requestHeaders:
        backend.requestHeaders === undefined ? requestHeaders : [...requestHeaders, backend.requestHeaders],
      responseHeaders:
        backend.responseHeaders === undefined ? responseHeaders : [...responseHeaders, backend.responseHeaders],
    };
  });
  const paths = [rule.rewrite?.path, rule.redirect?.path];
  for (const { rewrite, redirect } of rule.backends) paths.push(rewrite?.path, redirect?.path);
  return {
    rule,
    backends,
    weight: rule.backends.reduce((sum, { weight }) => sum + weight, 0),
    responseHeaders,
    problem: paths.map(rewriteProblem).find((problem) => problem !== '') ?? '',
  };
}
