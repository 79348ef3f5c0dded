// SPDX-License-Identifier: Apache-2.0
//
// Where does a request go, and what is done to it? In the order a request passes them: the group of routes for its
// client, the host, the first entry that matches, its faults, cross-origin rules, redirect or direct answer, the
// backend by weight, and what is rewritten and mirrored on the way. Chance comes in as a parameter.

import type { Random } from '../balance.ts';
import type { Recorder } from '../proof.ts';
import { type Session, sessionOf } from '../upstream/affinity.ts';
import type { CompiledBackend, CompiledEntry, CompiledRule } from './compiled-entry.ts';
import type { CompiledRoutes, CompiledTable } from './compiled-table.ts';
import { corsChanges, isPreflight, preflightHeaders } from './cors.ts';
import { hostOf, type RequestView } from './request.ts';
import { locationOf, rewritePath } from './rewrite.ts';
import { proveEntry, proveMisses } from './route-proof.ts';
import { ANY_PATH, type Fault, type HeaderChanges, type HeaderValue, type Mirror } from './route-table.ts';
import type { FaultVerdict, RespondReason, RespondVerdict, RouteVerdict } from './route-verdict.ts';

const NO_BODY = new Uint8Array(0);
const NO_HEADERS: readonly HeaderValue[] = [];
const NO_CHANGES: readonly HeaderChanges[] = [];
const NO_MIRRORS: readonly Mirror[] = [];

/** @param nowMs wall clock, by which sessions of clients end */
export function route(
  table: CompiledTable,
  request: RequestView,
  random: Random,
  rec: Recorder,
  nowMs = 0,
): RouteVerdict {
  const routes = routesFor(table, request);
  if (routes === undefined) {
    if (table.implicit === undefined) return respond(undefined, 'no-route', '', 404);
    if (rec.enabled)
      rec.step(
        table.implicit.rule.origin,
        `port ${request.port}`,
        '',
        'no route is for this client: to its own endpoints',
      );
    return act(table.implicit, undefined, request, random, rec, nowMs);
  }
  const found = findEntry(routes, request);
  if (found === undefined) {
    if (rec.enabled) proveMisses(routes, request, rec);
    return respond(undefined, 'no-route', '', 404);
  }
  if (rec.enabled) proveEntry(routes, found, request, rec);
  return act(found.rule, found, request, random, rec, nowMs);
}

/** The group that decides alone: the first whose client namespace fits. */
export function routesFor(table: CompiledTable, request: RequestView): CompiledRoutes | undefined {
  const { http } = table;
  for (let i = 0; i < http.length; i++) {
    const { clientNamespace } = http[i]!.routes;
    if (clientNamespace === '' || clientNamespace === request.identity?.namespace) return http[i];
  }
  return undefined;
}

function findEntry(routes: CompiledRoutes, request: RequestView): CompiledEntry | undefined {
  const { only } = routes.hosts;
  if (only !== undefined) return only.find(request);
  return routes.hosts.find(hostOf(request.authority), (finder) => finder.find(request));
}

function act(
  compiled: CompiledRule,
  found: CompiledEntry | undefined,
  request: RequestView,
  random: Random,
  rec: Recorder,
  nowMs: number,
): RouteVerdict {
  const { rule } = compiled;
  if (compiled.problem !== '') return respond(compiled, 'invalid-backend', compiled.problem, 500);
  const fault = rule.fault === undefined ? undefined : drawFault(rule.fault, random);
  if (rec.enabled && fault !== undefined) rec.step(rule.origin, rule.section, 'fault', faultText(fault));
  let cors: HeaderChanges | undefined;
  if (rule.cors !== undefined) {
    const preflight = isPreflight(request) ? preflightHeaders(rule.cors, request) : undefined;
    if (preflight !== undefined) {
      if (rec.enabled)
        rec.step(
          rule.origin,
          rule.section,
          'CORS',
          preflight.length === 0 ? 'a preflight from an origin that is not allowed' : 'a preflight, answered here',
        );
      return { ...respond(compiled, 'preflight', '', 200), headers: preflight, fault };
    }
    cors = corsChanges(rule.cors, request);
  }
  const match = found?.entry.match.path ?? ANY_PATH;
  if (rule.redirect !== undefined) {
    const location = locationOf(rule.redirect, request, match);
    if (rec.enabled) rec.step(rule.origin, rule.section, 'redirect', `${rule.redirect.status} to ${location}`);
    const responseHeaders = withCors(compiled.responseHeaders, cors);
    return { kind: 'redirect', rule, status: rule.redirect.status, location, responseHeaders, fault };
  }
  if (rule.response !== undefined) {
    const { body, status } = rule.response;
    if (rec.enabled) rec.step(rule.origin, rule.section, 'direct response', `${status}`);
    return {
      ...respond(compiled, 'direct', '', status),
      body,
      responseHeaders: withCors(compiled.responseHeaders, cors),
      fault,
    };
  }
  const session = rule.session === undefined ? undefined : sessionOf(rule.session, request, nowMs);
  const held = session === undefined ? undefined : compiled.backends[session.backend];
  const chosen = held !== undefined && held.backend.weight > 0 ? held : chooseBackend(compiled, random);
  if (chosen === undefined) {
    if (rec.enabled)
      rec.step(
        rule.origin,
        rule.section,
        'backends',
        'there is none with a weight: 500',
        'a backendRef has a weight above 0',
      );
    return { ...respond(compiled, 'no-backend', '', 500), fault };
  }
  return forward(compiled, chosen, found, request, random, rec, fault, cors, chosen === held ? session : undefined);
}

function forward(
  compiled: CompiledRule,
  { backend, requestHeaders, responseHeaders }: CompiledBackend,
  found: CompiledEntry | undefined,
  request: RequestView,
  random: Random,
  rec: Recorder,
  fault: FaultVerdict | undefined,
  cors: HeaderChanges | undefined,
  session: Session | undefined,
): RouteVerdict {
  const { rule } = compiled;
  const match = found?.entry.match.path ?? ANY_PATH;
  if (backend.redirect !== undefined) {
    const location = locationOf(backend.redirect, request, match);
    if (rec.enabled)
      rec.step(rule.origin, rule.section, "backend's redirect", `${backend.redirect.status} to ${location}`);
    return {
      kind: 'redirect',
      rule,
      status: backend.redirect.status,
      location,
      responseHeaders: withCors(responseHeaders, cors),
      fault,
    };
  }
  const { target } = backend;
  if (target === undefined || backend.invalid !== '') {
    if (rec.enabled)
      rec.step(
        rule.origin,
        rule.section,
        'backend',
        `${backend.invalid}: its share is answered 500`,
        'the reference is mended',
      );
    return { ...respond(compiled, 'invalid-backend', backend.invalid, 500), fault };
  }
  if (rec.enabled) {
    const share = compiled.backends.length > 1 ? `drawn by weight ${backend.weight} of ${compiled.weight}` : '';
    const subset = target.subset === '' ? '' : `, subset ${target.subset}`;
    rec.step(rule.origin, rule.section, share, `goes to ${target.service}:${target.port}${subset}`);
  }
  let path = rule.rewrite === undefined ? request.path : rewritePath(request.path, rule.rewrite.path, match);
  let authority =
    rule.rewrite === undefined || rule.rewrite.authority === '' ? request.authority : rule.rewrite.authority;
  if (backend.rewrite !== undefined) {
    path = rewritePath(request.path, backend.rewrite.path, match);
    if (backend.rewrite.authority !== '') authority = backend.rewrite.authority;
  }
  return {
    kind: 'forward',
    rule,
    entry: found?.entry,
    backend,
    target,
    path,
    authority,
    requestHeaders,
    responseHeaders: withCors(responseHeaders, cors),
    mirrors: drawMirrors(rule.mirrors, backend.mirrors, random),
    fault,
    session,
  };
}

function respond(
  compiled: CompiledRule | undefined,
  reason: RespondReason,
  subject: string,
  status: number,
): RespondVerdict {
  return {
    kind: 'respond',
    rule: compiled?.rule,
    reason,
    subject,
    status,
    body: NO_BODY,
    headers: NO_HEADERS,
    responseHeaders: NO_CHANGES,
    fault: undefined,
  };
}

function withCors(changes: readonly HeaderChanges[], cors: HeaderChanges | undefined): readonly HeaderChanges[] {
  return cors === undefined ? changes : [cors, ...changes];
}

/** undefined: no backend has a weight. */
function chooseBackend({ backends, weight }: CompiledRule, random: Random): CompiledBackend | undefined {
  if (weight === 0) return undefined;
  if (backends.length === 1) return backends[0];
  let ticket = random() * weight;
  let chosen: CompiledBackend | undefined;
  for (const one of backends) {
    if (one.backend.weight === 0) continue;
    chosen = one;
    ticket -= one.backend.weight;
    if (ticket < 0) break;
  }
  return chosen;
}

/** Each of both is drawn for itself. */
function drawFault(fault: Fault, random: Random): FaultVerdict | undefined {
  const delayed = fault.delayShare > 0 && random() < fault.delayShare;
  const aborted = fault.abortShare > 0 && random() < fault.abortShare;
  if (!delayed && !aborted) return undefined;
  return {
    delayMs: delayed ? fault.delayMs : 0,
    abortStatus: aborted ? fault.abortStatus : 0,
    abortGrpc: aborted ? fault.abortGrpc : undefined,
  };
}

function faultText({ abortGrpc, abortStatus, delayMs }: FaultVerdict): string {
  const parts = delayMs > 0 ? [`waits ${delayMs} ms`] : [];
  if (abortGrpc !== undefined) parts.push(`ends with gRPC status ${abortGrpc}`);
  else if (abortStatus > 0) parts.push(`ends with ${abortStatus}`);
  return parts.join(', then ');
}

function drawMirrors(ofRule: readonly Mirror[], ofBackend: readonly Mirror[], random: Random): readonly Mirror[] {
  if (ofRule.length + ofBackend.length === 0) return NO_MIRRORS;
  return [...ofRule, ...ofBackend].filter(({ share }) => share >= 1 || random() < share);
}
