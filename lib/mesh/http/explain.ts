// SPDX-License-Identifier: Apache-2.0
//
// What would become of a request at a waypoint, and why: the functions that requests run through, with a recorder that
// keeps every step. Pure; a waypoint answers with it, and tests read it.

import { describePolicy } from '../authorize.ts';
import { formatProof, type Recorder, recordProof, type Step } from '../proof.ts';
import type { AccessPolicy, RequestAccessVerdict } from './access-policy.ts';
import { authorizeRequest, customPolicies, customRefusal, policySet, requestFlow } from './authorize-request.ts';
import { compileTable, implicitTable } from './compiled-table.ts';
import { authoriserOf } from './external-check.ts';
import type { RequestView } from './request.ts';
import { route } from './route.ts';
import type { RouteTable, Target } from './route-table.ts';
import type { FaultVerdict, RouteVerdict } from './route-verdict.ts';

import { type TrafficPolicy, upstreamOf } from './traffic-policy.ts';
import type { Provider } from './waypoint.ts';

/** What a waypoint knows of the service that is asked. */
export interface RequestWorld {
  readonly service: string;
  readonly port: number;
  /** Of that port; undefined when no route names it. */
  readonly table: RouteTable | undefined;
  /** Those that apply to the service. */
  readonly policies: readonly AccessPolicy[];
  /** How a service's endpoints are talked to, by its key. */
  readonly trafficPolicy: (service: string) => TrafficPolicy | undefined;
  /** Whom CUSTOM policies may name. */
  readonly providers: readonly Provider[];
}

interface Part {
  readonly verdict: Readonly<Record<string, unknown>>;
  /** One sentence. */
  readonly text: string;
  readonly proof: readonly Step[];
  readonly lines: readonly string[];
}

export interface RequestExplanation {
  readonly access: Part;
  /** Absent when access is denied: such a request is routed nowhere. */
  readonly routing: Part | undefined;
  readonly allowed: boolean;
}

/** Backends are drawn by weight; the answer tells the first that can be drawn, its proof all of them. */
export function explainRequest(world: RequestWorld, request: RequestView): RequestExplanation {
  const recorder = recordProof();
  const { custom, http } = policySet(world.policies);
  const flow = requestFlow(request);
  const asks = customPolicies(custom.http, flow, recorder);
  for (const policy of asks) proveAuthoriser(policy, world.providers, recorder);
  const unheard = asks.find(({ provider }) => authoriserOf(world.providers, provider) === undefined);
  const verdict = unheard === undefined ? authorizeRequest(http, flow, recorder, true) : customRefusal(unheard, flow);
  const { allow, clause, policy, reason, rule } = verdict;
  const asked = asks.map(({ provider }) => provider);
  const also =
    allow && asked.length > 0 ? `, if ${asked.join(' and ')} ${asked.length === 1 ? 'allows' : 'allow'} it` : '';
  const access: Part = {
    verdict: { allow, reason, policy, rule, clause, asks: asked },
    text: `${accessText(verdict)}${also}`,
    proof: recorder.steps,
    lines: formatProof(recorder.steps),
  };
  return { access, routing: allow ? explainRoute(world, request) : undefined, allowed: allow };
}

/** Whom traffic asks, and what comes of no answer. Nobody is asked for an explanation. */
function proveAuthoriser({ key, provider: name }: AccessPolicy, providers: readonly Provider[], rec: Recorder): void {
  const object = describePolicy(key);
  const provider = authoriserOf(providers, name);
  if (provider === undefined) {
    const change = `the mesh has an extension provider ${name} whose host is a service`;
    rec.step(object, '', `CUSTOM by ${name}`, 'is no provider that can be asked, so it denies', change, 1);
    return;
  }
  const { service, port } = provider.target!;
  const how = provider.kind === 'ext-authz-grpc' ? 'gRPC' : 'HTTP';
  const none = provider.failOpen ? 'let in (failOpen)' : `answered ${provider.statusOnError}`;
  const outcome = `would be asked at ${service}:${port}; without an answer in ${provider.timeoutMs} ms it is ${none}`;
  rec.step(object, '', `CUSTOM by ${name}, by ${how}`, outcome, '', 1);
}

function explainRoute({ port, service, table, trafficPolicy }: RequestWorld, request: RequestView): Part {
  const recorder = recordProof();
  const target: Target = { service, port, subset: '' };
  const compiled = table === undefined ? implicitTable(service, port) : compileTable(table, target);
  const verdict = route(compiled, request, () => 0, recorder);
  if (verdict.kind === 'forward') proveTls(verdict.target, trafficPolicy(verdict.target.service), recorder);
  return {
    verdict: summary(verdict),
    text: routeText(verdict),
    proof: recorder.steps,
    lines: formatProof(recorder.steps),
  };
}

/** What is asked of the server at the other end, where its traffic policy asks for TLS. */
function proveTls({ port, service, subset }: Target, policy: TrafficPolicy | undefined, rec: Recorder): void {
  const tls = upstreamOf(policy, subset, port)?.tls;
  if (policy === undefined || tls === undefined) return;
  const { insecureSkipVerify, invalid, mode, sni, subjectAltNames, systemRoots } = tls;
  const names = subjectAltNames.length > 0 ? subjectAltNames : [sni];
  const by = systemRoots ? 'the system’s authorities' : 'the authorities it names';
  const proof = insecureSkipVerify
    ? 'any server is believed'
    : `the server must prove by ${by} to be ${names.join(' or ')}`;
  const outcome =
    invalid === '' ? `${mode}, server name ${sni === '' ? 'none' : sni}: ${proof}` : `connections fail: ${invalid}`;
  rec.step(policy.origin, '', `TLS to endpoints of ${service}:${port}`, outcome);
}

export function accessText({ clause, policy, reason, rule }: RequestAccessVerdict): string {
  switch (reason) {
    case 'denied':
      return `explicitly denied by AuthorizationPolicy ${policy}, rule ${rule + 1}${clause === '' ? '' : `: ${clause}`}`;
    case 'not-allowed':
      return 'no ALLOW policy matches, and there are some';
    case 'allowed':
      return `allowed by AuthorizationPolicy ${policy}, rule ${rule + 1}`;
    case 'no-policy':
      return 'no policy stands in the way';
  }
}

export function routeText(verdict: RouteVerdict): string {
  const fault = faultText(verdict.fault);
  switch (verdict.kind) {
    case 'forward': {
      const { port, service, subset } = verdict.target;
      const { origin, section } = verdict.rule;
      const where = `${service}:${port}${subset === '' ? '' : `, subset ${subset}`}`;
      return `to ${where} by ${origin}${section === '' ? '' : `, ${section}`}${fault}`;
    }
    case 'redirect':
      return `redirected with ${verdict.status} to ${verdict.location} by ${verdict.rule.origin}${fault}`;
    case 'respond': {
      const subject = verdict.subject === '' ? '' : ` (${verdict.subject})`;
      const by = verdict.rule === undefined ? '' : ` by ${verdict.rule.origin}`;
      return `answered ${verdict.status}${by}: ${verdict.reason}${subject}${fault}`;
    }
  }
}

function faultText(fault: FaultVerdict | undefined): string {
  if (fault === undefined) return '';
  const delay = fault.delayMs === 0 ? [] : [`a delay of ${fault.delayMs} ms`];
  const abort = fault.abortStatus === 0 ? [] : [`status ${fault.abortStatus}`];
  return `, with ${[...delay, ...abort].join(' and ')} injected`;
}

function summary(verdict: RouteVerdict): Record<string, unknown> {
  switch (verdict.kind) {
    case 'forward':
      return { kind: 'forward', target: verdict.target, path: verdict.path, authority: verdict.authority };
    case 'redirect':
      return { kind: 'redirect', status: verdict.status, location: verdict.location };
    case 'respond':
      return { kind: 'respond', status: verdict.status, reason: verdict.reason, subject: verdict.subject };
  }
}
