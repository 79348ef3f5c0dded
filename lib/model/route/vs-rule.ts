// SPDX-License-Identifier: Apache-2.0
//
// One http entry of a VirtualService as a rule, without its matches.

import { rewriteProblem } from '#lib/mesh/http/rewrite.ts';
import {
  type Backend,
  BLANK_RULE,
  backendTo,
  type Cors,
  type Fault,
  type HeaderChanges,
  type HttpRule,
  type Mirror,
  type PathRewrite,
  type Redirect,
  type Retry,
  type RetryCondition,
  type Rewrite,
  type Target,
} from '#lib/mesh/http/route-table.ts';
import { istioDuration } from './duration.ts';
import { type Findings, headerChanges } from './filters.ts';
import type {
  DestinationSpec,
  HeaderOperations,
  HeadersSpec,
  RouteDestination,
  VsHttpRoute,
} from './virtual-service-spec.ts';
import { stringMatch } from './vs-match.ts';

/** Where a destination leads; undefined when there is no such service or port. */
export type ResolveDestination = (destination: DestinationSpec) => Target | undefined;

export interface RuleRequest {
  readonly resolve: ResolveDestination;
  readonly defaultRetry: Retry;
  readonly findings: Findings;
}

/** What most a direct response may hold. */
const MOST_BODY_BYTES = 1 << 20;

export function vsRule(spec: VsHttpRoute, origin: string, section: string, request: RuleRequest): HttpRule {
  const { findings } = request;
  const destinations = spec.route ?? [];
  const acts = [spec.redirect, spec.directResponse, spec.delegate].filter((one) => one !== undefined).length;
  if (acts + (destinations.length > 0 ? 1 : 0) > 1)
    findings.problem('route, redirect, directResponse and delegate exclude each other');
  const authority = authorityOf(spec.headers?.request);
  return {
    ...BLANK_RULE,
    name: spec.name ?? '',
    origin,
    section,
    backends: backendsOf(destinations, request),
    redirect: spec.redirect && redirectOf(spec.redirect, findings),
    response: spec.directResponse && responseOf(spec.directResponse, findings),
    requestHeaders: changesOf(spec.headers?.request),
    responseHeaders: changesOf(spec.headers?.response),
    rewrite: rewriteOf(spec, authority, findings),
    timeoutMs: durationOf(spec.timeout, 'timeout', findings) ?? 0,
    retry: spec.retries && retryOf(spec.retries, request),
    mirrors: mirrorsOf(spec, request),
    cors: spec.corsPolicy && corsOf(spec.corsPolicy, findings),
    fault: spec.fault && faultOf(spec.fault, findings),
  };
}

function durationOf(text: string | undefined, field: string, findings: Findings): number | undefined {
  if (text === undefined) return undefined;
  const ms = istioDuration(text);
  if (ms === undefined) findings.problem(`${field}: ${text} is no duration`);
  return ms;
}

/** A single destination takes all whatever its weight. */
export function backendsOf(
  destinations: readonly RouteDestination[],
  { findings, resolve }: Pick<RuleRequest, 'resolve' | 'findings'>,
): Backend[] {
  return destinations.map(({ destination, headers, weight }) => {
    const share = destinations.length === 1 ? 1 : (weight ?? 0);
    return { ...backendOf(destination ?? {}, share, resolve, findings), ...headersOf(headers) };
  });
}

function backendOf(
  destination: DestinationSpec,
  weight: number,
  resolve: ResolveDestination,
  findings: Findings,
): Backend {
  const target = resolve(destination);
  if (target !== undefined) return backendTo(target, weight);
  const message = `destination ${destination.host ?? ''} is no service with that port`;
  findings.reference({ reason: 'BackendNotFound', message });
  return { ...backendTo({ service: '', port: 0, subset: '' }, weight), target: undefined, invalid: 'BackendNotFound' };
}

function headersOf(headers: HeadersSpec | undefined): Pick<Backend, 'requestHeaders' | 'responseHeaders' | 'rewrite'> {
  const authority = authorityOf(headers?.request);
  return {
    requestHeaders: changesOf(headers?.request),
    responseHeaders: changesOf(headers?.response),
    rewrite: authority === '' ? undefined : { authority, path: undefined },
  };
}

/** Pseudo-headers and Host are not headers to edit; a new Host is a rewrite. */
function isEditable(name: string): boolean {
  return !name.startsWith(':') && name.toLowerCase() !== 'host';
}

function authorityOf(operations: HeaderOperations | undefined): string {
  // What is set wins over what is added.
  for (const values of [operations?.set, operations?.add]) {
    for (const [name, value] of Object.entries(values ?? {})) {
      if (name.toLowerCase() === 'host' || name.toLowerCase() === ':authority') return value;
    }
  }
  return '';
}

function changesOf(operations: HeaderOperations | undefined): HeaderChanges | undefined {
  if (operations === undefined) return undefined;
  const list = (values: Readonly<Record<string, string>> | undefined): { name: string; value: string }[] =>
    Object.entries(values ?? {})
      .filter(([name]) => isEditable(name))
      .map(([name, value]) => ({ name, value }));
  const remove = (operations.remove ?? []).filter(isEditable);
  return headerChanges({ set: list(operations.set), add: list(operations.add), remove });
}

function rewriteOf({ rewrite }: VsHttpRoute, authority: string, findings: Findings): Rewrite | undefined {
  if (rewrite === undefined) return authority === '' ? undefined : { authority, path: undefined };
  let path: PathRewrite | undefined;
  if (rewrite.uriRegexRewrite !== undefined) {
    const { match = '', rewrite: value = '' } = rewrite.uriRegexRewrite;
    path = { kind: 'regex', value, pattern: match };
    const problem = rewriteProblem(path);
    if (problem !== '') findings.problem(`rewrite.uriRegexRewrite: ${problem}`);
  } else if (rewrite.uri !== undefined) {
    path = { kind: 'prefix', value: rewrite.uri, pattern: '' };
  }
  return { authority: rewrite.authority ?? authority, path };
}

const REDIRECTS = [301, 302, 303, 307, 308];

function redirectOf(spec: NonNullable<VsHttpRoute['redirect']>, findings: Findings): Redirect {
  const status = spec.redirectCode ?? 301;
  if (!REDIRECTS.includes(status)) findings.problem(`redirectCode ${status} is no redirect`);
  let path: PathRewrite | undefined;
  if (spec.prefixRewrite !== undefined) path = { kind: 'prefix', value: spec.prefixRewrite, pattern: '' };
  else if (spec.uri !== undefined) path = { kind: 'full', value: spec.uri, pattern: '' };
  const derived = spec.derivePort === 'FROM_REQUEST_PORT' ? 'request' : 'scheme';
  return {
    status,
    scheme: spec.scheme ?? '',
    hostname: spec.authority ?? '',
    portFrom: spec.port === undefined ? derived : 'field',
    port: spec.port ?? 0,
    path,
  };
}

function responseOf(spec: NonNullable<VsHttpRoute['directResponse']>, findings: Findings): HttpRule['response'] {
  const { string, bytes } = spec.body ?? {};
  const body = Buffer.from(bytes ?? string ?? '', bytes === undefined ? 'utf8' : 'base64');
  if (body.length > MOST_BODY_BYTES) findings.problem('directResponse.body is larger than 1 MiB');
  return { status: spec.status ?? 200, body: new Uint8Array(body) };
}

const CONDITIONS: readonly RetryCondition[] = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];

function retryOf(spec: NonNullable<VsHttpRoute['retries']>, { defaultRetry, findings }: RuleRequest): Retry {
  const base = durationOf(spec.backoff, 'retries.backoff', findings) ?? defaultRetry.backoffBaseMs;
  const words = (spec.retryOn ?? '').split(',').map((word) => word.trim());
  const codes = words.filter((word) => /^[1-5]\d\d$/.test(word)).map(Number);
  const conditions = new Set<RetryCondition>();
  for (const word of words) {
    const known = CONDITIONS.find((one) => one === word);
    if (known !== undefined) conditions.add(known);
    else if (word !== '' && !/^[1-5]\d\d$/.test(word)) findings.problem(`retries.retryOn: ${word} is no condition`);
  }
  if (codes.length > 0) conditions.add('retriable-status-codes');
  return {
    ...defaultRetry,
    attempts: Math.max(0, spec.attempts ?? 0),
    perTryTimeoutMs: durationOf(spec.perTryTimeout, 'retries.perTryTimeout', findings) ?? 0,
    conditions: conditions.size === 0 ? defaultRetry.conditions : [...conditions],
    codes: codes.length === 0 && conditions.size === 0 ? defaultRetry.codes : codes,
    backoffBaseMs: base,
    backoffMaxMs: base * 10,
    avoidTried: spec.retryIgnorePreviousHosts ?? true,
    remoteLocalities: spec.retryRemoteLocalities ?? false,
  };
}

function share(value: number | undefined, otherwise: number): number {
  return Math.min(1, Math.max(0, (value ?? otherwise) / 100));
}

const GRPC_CODES: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

function faultOf({ abort, delay }: NonNullable<VsHttpRoute['fault']>, findings: Findings): Fault {
  const grpc = abort?.grpcStatus === undefined ? undefined : GRPC_CODES.indexOf(abort.grpcStatus);
  if (grpc === -1) findings.problem(`fault.abort.grpcStatus ${abort?.grpcStatus} is no status`);
  return {
    delayShare: delay === undefined ? 0 : share(delay.percentage?.value ?? delay.percent, 100),
    delayMs: durationOf(delay?.fixedDelay, 'fault.delay.fixedDelay', findings) ?? 0,
    abortShare: abort === undefined ? 0 : share(abort.percentage?.value ?? abort.percent, 100),
    abortStatus: grpc === undefined ? (abort?.httpStatus ?? 0) : 0,
    abortGrpc: grpc,
  };
}

function mirrorsOf(spec: VsHttpRoute, { findings, resolve }: RuleRequest): Mirror[] {
  const all = [...(spec.mirrors ?? [])];
  if (spec.mirror !== undefined) {
    all.unshift({ destination: spec.mirror, ...(spec.mirrorPercentage && { percentage: spec.mirrorPercentage }) });
  }
  return all.flatMap(({ destination, percentage }): Mirror[] => {
    const part = percentage === undefined ? 1 : share(percentage.value, 0);
    return part === 0 ? [] : [{ backend: backendOf(destination ?? {}, 1, resolve, findings), share: part }];
  });
}

function corsOf(spec: NonNullable<VsHttpRoute['corsPolicy']>, findings: Findings): Cors {
  const maxAge = durationOf(spec.maxAge, 'corsPolicy.maxAge', findings);
  return {
    origins: (spec.allowOrigins ?? []).map((one) =>
      one.exact === '*' ? { kind: 'present', value: '', ignoreCase: false } : stringMatch(one, findings),
    ),
    methods: spec.allowMethods ?? [],
    headers: spec.allowHeaders ?? [],
    expose: spec.exposeHeaders ?? [],
    maxAgeS: maxAge === undefined ? undefined : Math.floor(maxAge / 1000),
    credentials: spec.allowCredentials === true,
    forwardUnmatched: spec.unmatchedPreflights !== 'IGNORE',
  };
}
