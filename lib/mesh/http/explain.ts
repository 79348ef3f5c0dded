// SPDX-License-Identifier: Apache-2.0
//
// What would become of a request at a waypoint, and why: the functions that requests run through, with a recorder that
// keeps every step. Pure; a waypoint answers with it, and tests read it.

import { describePolicy } from '../authorize.ts';
import type { InboundFlow } from '../flow.ts';
import { formatProof, type Recorder, recordProof, type Step } from '../proof.ts';
import type { AccessPolicy, RequestAccessVerdict } from './access-policy.ts';
import { authorizeRequest, customPolicies, customRefusal, policySet, requestFlow } from './authorize-request.ts';
import { compileTable, implicitTable } from './compiled-table.ts';
import { type EndpointPart, type EndpointWorld, explainEndpoint } from './explain-endpoint.ts';
import { authoriserOf } from './external-check.ts';
import type { RequestView } from './request.ts';
import { route } from './route.ts';
import type { RouteTable, Target } from './route-table.ts';
import type { FaultVerdict, RouteVerdict } from './route-verdict.ts';
import { routeTcp, routeTls } from './stream-route.ts';

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
  /** RequestAuthentications that apply to the service, `namespace/name`. */
  readonly tokens?: readonly string[];
  /** What it knows of endpoints. */
  readonly upstream: EndpointWorld;
}

/** A stream that is no HTTP. */
export interface StreamQuestion {
  readonly flow: InboundFlow;
  /** That a TLS client names; '' without one. */
  readonly serverName: string;
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
  /** Absent when it is sent to no service. */
  readonly endpoint: EndpointPart | undefined;
  /** By policies, and there is an endpoint where one is needed. */
  readonly allowed: boolean;
  /** It is judged and routed as a stream: no method, path or header counts. */
  readonly stream: boolean;
}

/** Backends are drawn by weight; the answer tells the first that can be drawn, its proof all of them. */
export function explainRequest(world: RequestWorld, request: RequestView): RequestExplanation {
  const { custom, http } = policySet(world.policies);
  const rec = recordProof();
  for (const name of world.tokens ?? []) {
    const outcome =
      'not looked at here; a request with one that does not hold is answered 401, and the access log says why';
    rec.step(`RequestAuthentication ${name}`, '', 'tokens', outcome);
  }
  const access = explainAccess(world, http, custom.http, requestFlow(request), rec);
  return explanation(world, access, () => explainRoute(world, request), false);
}

/** The same for what a port carries that is no HTTP. */
export function explainStream(world: RequestWorld, { flow, serverName }: StreamQuestion): RequestExplanation {
  const { custom, tcp } = policySet(world.policies);
  const access = explainAccess(world, tcp, custom.tcp, flow);
  return explanation(world, access, () => explainStreamRoute(world, flow, serverName), true);
}

interface Routed {
  readonly part: Part;
  readonly target: Target | undefined;
}

function explanation(world: RequestWorld, access: Part, routed: () => Routed, stream: boolean): RequestExplanation {
  if (access.verdict['allow'] !== true)
    return { access, routing: undefined, endpoint: undefined, allowed: false, stream };
  const { part: routing, target } = routed();
  const policy = target === undefined ? undefined : world.trafficPolicy(target.service);
  const endpoint = target === undefined ? undefined : explainEndpoint(world.upstream, policy, target);
  // A stream that no backend takes is cut; a request is answered, as the route says.
  const allowed = endpoint === undefined ? !stream : endpoint.verdict.kind !== 'none';
  return { access, routing, endpoint, allowed, stream };
}

function explainAccess(
  world: RequestWorld,
  policies: readonly AccessPolicy[],
  custom: readonly AccessPolicy[],
  flow: InboundFlow,
  recorder = recordProof(),
): Part {
  const asks = customPolicies(custom, flow, recorder);
  for (const policy of asks) proveAuthoriser(policy, world.providers, recorder);
  const unheard = asks.find(({ provider }) => authoriserOf(world.providers, provider) === undefined);
  const verdict =
    unheard === undefined ? authorizeRequest(policies, flow, recorder, true) : customRefusal(unheard, flow);
  const { allow, clause, policy, reason, rule } = verdict;
  const asked = asks.map(({ provider }) => provider);
  const also =
    allow && asked.length > 0 ? `, if ${asked.join(' and ')} ${asked.length === 1 ? 'allows' : 'allow'} it` : '';
  return {
    verdict: { allow, reason, policy, rule, clause, asks: asked },
    text: `${accessText(verdict)}${also}`,
    proof: recorder.steps,
    lines: formatProof(recorder.steps),
  };
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

function explainRoute({ port, service, table, trafficPolicy }: RequestWorld, request: RequestView): Routed {
  const recorder = recordProof();
  const target: Target = { service, port, subset: '' };
  const compiled = table === undefined ? implicitTable(service, port) : compileTable(table, target);
  const verdict = route(compiled, request, () => 0, recorder);
  if (verdict.kind === 'forward') proveTls(verdict.target, trafficPolicy(verdict.target.service), recorder);
  return {
    part: partOf(summary(verdict), routeText(verdict), recorder),
    target: verdict.kind === 'forward' ? verdict.target : undefined,
  };
}

/** By server name, then by destination; without a route for it to the service's own endpoints. */
function explainStreamRoute({ port, service, table }: RequestWorld, flow: InboundFlow, serverName: string): Routed {
  const recorder = recordProof();
  const { destinationIp, identity } = flow;
  const request = { port, destinationIp, namespace: identity?.namespace, serverName };
  const verdict =
    table === undefined
      ? undefined
      : (routeTls(table, request, () => 0, recorder) ?? routeTcp(table, request, () => 0, recorder));
  if (verdict === undefined) {
    recorder.step(`Service ${service}`, `port ${port}`, '', 'no route is for this client: to its own endpoints');
    const target: Target = { service, port, subset: '' };
    return {
      part: partOf({ kind: 'forward', target }, `to ${service}:${port} by Service ${service}`, recorder),
      target,
    };
  }
  if (verdict.kind === 'reject') {
    const { origin, reason, subject } = verdict;
    const text = `cut by ${origin}: ${reason}${subject === '' ? '' : ` (${subject})`}`;
    return { part: partOf({ kind: 'reject', reason, subject }, text, recorder), target: undefined };
  }
  const { target } = verdict;
  const where = `${target.service}:${target.port}${target.subset === '' ? '' : `, subset ${target.subset}`}`;
  return { part: partOf({ kind: 'forward', target }, `to ${where} by ${verdict.origin}`, recorder), target };
}

function partOf(verdict: Record<string, unknown>, text: string, { steps }: Recorder): Part {
  return { verdict, text, proof: steps, lines: formatProof(steps) };
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
