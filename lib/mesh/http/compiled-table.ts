// SPDX-License-Identifier: Apache-2.0
//
// A route table made ready for requests: hosts by hash, paths by index, patterns compiled, headers to change put in
// order. Compiling is the slow side's work; what comes out is immutable and read by every request. Entries keep their
// place, so the answer is always that of asking them one after another.

import { claimHolds } from './claim.ts';
import { ExactIndex } from './exact-index.ts';
import { HostIndex } from './host-index.ts';
import { PathIndex, type PathVisitor } from './path-index.ts';
import { NamedPattern, Pattern } from './pattern.ts';
import { literalPrefix } from './regex.ts';
import { pathLength, queryValue, type RequestView } from './request.ts';
import { rewriteProblem } from './rewrite.ts';
import {
  type Backend,
  BLANK_RULE,
  backendTo,
  type HeaderChanges,
  type HttpEntry,
  type HttpMatch,
  type HttpRoutes,
  type HttpRule,
  type RouteTable,
  type StringMatch,
  type Target,
} from './route-table.ts';

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
    this.#plain = kind !== 'regex' && isPathMatch(match);
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

/** Finds the first entry of a host that matches. One finder serves request after request. */
export class EntryFinder implements PathVisitor {
  readonly #entries: readonly CompiledEntry[];
  readonly #paths = new PathIndex();
  /** Lists of the index that are long, told apart by one header, the method or a parameter. */
  readonly #narrowed = new Map<readonly number[], ExactIndex>();
  /** Entries for any path, and those whose case does not count. */
  readonly #others: number[] = [];
  readonly #folded = new PathIndex();
  readonly #hasFolded: boolean;
  #best = 0;
  #request: RequestView | undefined;
  #length = 0;

  constructor(entries: readonly CompiledEntry[]) {
    this.#entries = entries;
    let folded = false;
    const lists = new Set<readonly number[]>();
    entries.forEach(({ entry }, i) => {
      const { ignoreCase, kind, value } = entry.match.path;
      const text = ignoreCase ? value.toLowerCase() : value;
      const index = ignoreCase ? this.#folded : this.#paths;
      const list = kind === 'regex' ? 'prefix' : kind;
      const literal = kind === 'regex' ? (ignoreCase ? '' : literalPrefix(value)) : text;
      if (list === 'any' || (list !== 'exact' && literal === '')) {
        this.#others.push(i);
        lists.add(this.#others);
        return;
      }
      lists.add(index.add(literal, list, i));
      if (ignoreCase) folded = true;
    });
    this.#hasFolded = folded;
    for (const list of lists) {
      const narrowed = ExactIndex.of(list, entries);
      if (narrowed !== undefined) this.#narrowed.set(list, narrowed);
    }
  }

  /** undefined: none. */
  find(request: RequestView): CompiledEntry | undefined {
    const { path } = request;
    const length = pathLength(path);
    const none = this.#entries.length;
    this.#best = none;
    this.#request = request;
    this.#length = length;
    this.#paths.visit(path, length, this);
    if (this.#hasFolded) this.#folded.visit(path.slice(0, length).toLowerCase(), length, this);
    if (this.#others.length > 0) this.visit(this.#others);
    this.#request = undefined;
    return this.#best === none ? undefined : this.#entries[this.#best];
  }

  visit(positions: readonly number[]): void {
    const narrowed = positions.length < ExactIndex.WORTH ? undefined : this.#narrowed.get(positions);
    if (narrowed === undefined) {
      this.try(positions);
      return;
    }
    narrowed.visit(this.#request!, this);
  }

  /** Asks entries in order until one matches or a better one is known. */
  try(positions: readonly number[]): void {
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i]!;
      if (position >= this.#best) return;
      if (this.#entries[position]!.matches(this.#request!, this.#length)) {
        this.#best = position;
        return;
      }
    }
  }
}

export interface CompiledRoutes {
  readonly routes: HttpRoutes;
  readonly hosts: HostIndex<EntryFinder>;
}

export interface CompiledTable {
  readonly table: RouteTable;
  readonly http: readonly CompiledRoutes[];
  /** The same client gets the same verdict for the same authority and path: nothing else is looked at, nothing drawn. */
  readonly byPath: boolean;
  /** For clients that no group of routes is for; undefined at a gateway. */
  readonly implicit: CompiledRule | undefined;
  /** Entries and rules that cannot work as they stand, for the log. */
  readonly problems: readonly string[];
}

/** @param service the service and port the table is for; undefined for a gateway's listener */
export function compileTable(table: RouteTable, service: Target | undefined): CompiledTable {
  const problems: string[] = [];
  return {
    table,
    byPath: table.http.every(isByPath),
    http: table.http.map((routes) => compileRoutes(routes, problems)),
    implicit: service === undefined ? undefined : implicitRule(service),
    problems,
  };
}

/** What holds for a service's port that no route names: its own endpoints. */
export function implicitTable(service: string, port: number): CompiledTable {
  const target: Target = { service, port, subset: '' };
  return compileTable({ name: '', http: [], tls: [], tcp: [] }, target);
}

function isByPath({ hosts, rules }: HttpRoutes): boolean {
  return rules.every(isFixed) && hosts.every(({ entries }) => entries.every(({ match }) => isPathMatch(match)));
}

/** Whether the rule does the same to every request. */
function isFixed({ backends, cors, fault, mirrors, session }: HttpRule): boolean {
  const mirrored = mirrors.length > 0 || backends.some((backend) => backend.mirrors.length > 0);
  return backends.length <= 1 && cors === undefined && fault === undefined && session === undefined && !mirrored;
}

function implicitRule(target: Target): CompiledRule {
  return compileRule({
    ...BLANK_RULE,
    name: 'default',
    origin: `Service ${target.service}`,
    backends: [backendTo(target)],
  });
}

function compileRoutes(routes: HttpRoutes, problems: string[]): CompiledRoutes {
  const rules = routes.rules.map((rule) => {
    const compiled = compileRule(rule);
    if (compiled.problem !== '') problems.push(`${rule.origin}: ${rule.section}: ${compiled.problem}`);
    return compiled;
  });
  const byHost = new Map<string, CompiledEntry[]>();
  for (const { entries, hosts } of routes.hosts) {
    const compiled = entries.flatMap((entry) => {
      const rule = rules[entry.rule];
      if (rule === undefined) return [];
      const one = new CompiledEntry(entry, rule);
      if (one.problem !== '') problems.push(`${rule.rule.origin}: ${rule.rule.section}: ${one.problem}`);
      return [one];
    });
    for (const host of hosts) byHost.set(host, [...(byHost.get(host) ?? []), ...compiled]);
  }
  const hosts = new HostIndex<EntryFinder>(routes.exclusiveHosts);
  for (const [host, entries] of byHost) hosts.add(host, new EntryFinder(entries));
  return { routes, hosts };
}

function compileRule(rule: HttpRule): CompiledRule {
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
