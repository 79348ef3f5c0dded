// SPDX-License-Identifier: Apache-2.0
//
// A route table made ready for requests: hosts by hash, paths by index, patterns compiled. Compiling is done in steps, since a
// data-plane process that has thousands of routes to compile serves requests between two steps; what comes out is immutable
// and read by every request. Entries keep their place, so the answer is always that of asking them one after another.

import { CompiledEntry, type CompiledRule, compileRule } from './compiled-entry.ts';
import { EntryFinder } from './entry-finder.ts';
import { HostIndex } from './host-index.ts';
import { BLANK_RULE, backendTo, type HttpRoutes, type HttpRule, type RouteTable, type Target } from './route-table.ts';

/** Rules or entries compiled between two rests: about 20 µs, ten times that when the code is cold. */
const STEP = 32;

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

/** A table while it is being compiled: each `next` does a little, the last one gives it. */
export type Compiling = Generator<void, CompiledTable>;

/** @param service the service and port the table is for; undefined for a gateway's listener */
export function compileTable(table: RouteTable, service: Target | undefined): CompiledTable {
  const steps = compiling(table, service);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** The same in steps. */
export function* compiling(table: RouteTable, service: Target | undefined): Compiling {
  const problems: string[] = [];
  const http: CompiledRoutes[] = [];
  let byPath = true;
  for (const routes of table.http) {
    const rules: CompiledRule[] = [];
    for (const rule of routes.rules) {
      if (rules.length % STEP === STEP - 1) yield;
      const compiled = compileRule(rule);
      if (compiled.problem !== '') problems.push(`${rule.origin}: ${rule.section}: ${compiled.problem}`);
      byPath &&= isFixed(rule);
      rules.push(compiled);
    }
    const hosts = new HostIndex<EntryFinder>(routes.exclusiveHosts);
    const finders = yield* findersOf(routes, rules, problems);
    for (const [host, finder] of finders) {
      hosts.add(host, finder);
      byPath &&= finder.byPath;
    }
    http.push({ routes, hosts });
  }
  const implicit = service === undefined ? undefined : implicitRule(service);
  return { table, byPath, http, implicit, problems };
}

/** What holds for a service's port that no route names: its own endpoints. */
export function implicitTable(service: string, port: number): CompiledTable {
  const target: Target = { service, port, subset: '' };
  return compileTable({ name: '', http: [], tls: [], tcp: [] }, target);
}

/** Who finds an entry, by host. */
function* findersOf(
  routes: HttpRoutes,
  rules: readonly CompiledRule[],
  problems: string[],
): Generator<void, ReadonlyMap<string, EntryFinder>> {
  const finders = new Map<string, EntryFinder>();
  for (const { entries, hosts } of routes.hosts) {
    const own = hosts.map((host) => {
      const finder = finders.get(host) ?? new EntryFinder();
      finders.set(host, finder);
      return finder;
    });
    for (let i = 0; i < entries.length; i++) {
      if (i % STEP === STEP - 1) yield;
      const entry = entries[i]!;
      const rule = rules[entry.rule];
      if (rule === undefined) continue;
      const compiled = new CompiledEntry(entry, rule);
      if (compiled.problem !== '') problems.push(`${rule.rule.origin}: ${rule.rule.section}: ${compiled.problem}`);
      for (const finder of own) finder.add(compiled);
    }
  }
  for (const finder of finders.values()) {
    yield;
    finder.seal();
  }
  return finders;
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
