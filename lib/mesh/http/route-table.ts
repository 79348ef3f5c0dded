// SPDX-License-Identifier: Apache-2.0
//
// Routes as the proxy is told of them: ambit.waypoint.v1.RouteTable as plain values. The control plane has resolved
// names, defaults and precedence; what is left is to find the first entry that matches. Absent parts are `undefined`
// but the property is always there: one shape for the optimiser.

export interface StringMatch {
  /** `regex`: RE2, whole value. `present`: any value, the empty one included. */
  readonly kind: 'exact' | 'prefix' | 'suffix' | 'regex' | 'present';
  readonly value: string;
  readonly ignoreCase: boolean;
}

export interface PathMatch {
  /** `prefix` by characters, `segments` by whole elements (its value has no slash at the end; '' is every path). */
  readonly kind: 'any' | 'exact' | 'prefix' | 'segments' | 'regex';
  readonly value: string;
  readonly ignoreCase: boolean;
}

export interface NamedMatch {
  /** Headers: lower case. Claims: names on the way down joined by U+0000. */
  readonly name: string;
  readonly value: StringMatch;
}

export interface HttpMatch {
  readonly path: PathMatch;
  readonly method: StringMatch | undefined;
  readonly scheme: StringMatch | undefined;
  readonly authority: StringMatch | undefined;
  readonly headers: readonly NamedMatch[];
  /** None of these may match; an absent header does not. */
  readonly withoutHeaders: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
  readonly claims: readonly NamedMatch[];
  /** 0: any. */
  readonly port: number;
  /** '': any. */
  readonly sourceNamespace: string;
}

export interface HeaderValue {
  readonly name: string;
  readonly value: string;
}

/** In the order set, add, remove. Names in lower case. */
export interface HeaderChanges {
  readonly set: readonly HeaderValue[];
  readonly add: readonly HeaderValue[];
  readonly remove: readonly string[];
}

export interface PathRewrite {
  /**
   * `full`: the whole path. `prefix`: what the match covered, as characters. `segments`: what it covered, as whole
   * elements. `regex`: what `pattern` finds.
   */
  readonly kind: 'keep' | 'full' | 'prefix' | 'segments' | 'regex';
  readonly value: string;
  readonly pattern: string;
}

export interface Rewrite {
  readonly path: PathRewrite | undefined;
  /** '': as it was. */
  readonly authority: string;
}

export interface Redirect {
  readonly status: number;
  /** '': as it was. */
  readonly scheme: string;
  readonly hostname: string;
  readonly portFrom: 'field' | 'scheme' | 'listener' | 'request';
  readonly port: number;
  readonly path: PathRewrite | undefined;
}

export interface DirectResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

export type RetryCondition =
  | '5xx'
  | 'gateway-error'
  | 'reset'
  | 'reset-before-request'
  | 'connect-failure'
  | 'envoy-ratelimited'
  | 'retriable-4xx'
  | 'refused-stream'
  | 'retriable-status-codes'
  | 'retriable-headers'
  | 'http3-post-connect-failure'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'internal'
  | 'resource-exhausted'
  | 'unavailable';

export interface Retry {
  /** Tries after the first. */
  readonly attempts: number;
  /** 0: none. */
  readonly perTryTimeoutMs: number;
  readonly conditions: readonly RetryCondition[];
  /** Statuses of `retriable-status-codes`. */
  readonly codes: readonly number[];
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly avoidTried: boolean;
  readonly remoteLocalities: boolean;
}

export interface Target {
  /** Key of a service, `<namespace>/<hostname>`. */
  readonly service: string;
  readonly port: number;
  readonly subset: string;
}

export interface Backend {
  readonly weight: number;
  readonly target: Target | undefined;
  /** Why the reference leads nowhere; its share is answered 500. '' when it is good. */
  readonly invalid: string;
  readonly requestHeaders: HeaderChanges | undefined;
  readonly responseHeaders: HeaderChanges | undefined;
  readonly rewrite: Rewrite | undefined;
  readonly redirect: Redirect | undefined;
  readonly mirrors: readonly Mirror[];
}

export interface Mirror {
  readonly backend: Backend | undefined;
  /** 0 to 1. */
  readonly share: number;
}

export interface Cors {
  readonly origins: readonly StringMatch[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly expose: readonly string[];
  readonly maxAgeS: number | undefined;
  readonly credentials: boolean;
  /** Preflights of other origins go to the backend; otherwise they are answered without CORS headers. */
  readonly forwardUnmatched: boolean;
}

export interface Fault {
  readonly delayShare: number;
  readonly delayMs: number;
  readonly abortShare: number;
  /** 0 when `abortGrpc` is set. */
  readonly abortStatus: number;
  readonly abortGrpc: number | undefined;
}

export interface SessionPersistence {
  readonly kind: 'cookie' | 'header';
  readonly name: string;
  readonly path: string;
  /** 0: a cookie of the browser's session. */
  readonly lifetimeS: number;
  /** 0: none. */
  readonly absoluteTimeoutMs: number;
}

/** One of redirect, response and backends acts; without any, the answer is 500. */
export interface HttpRule {
  /** For logs; may be ''. */
  readonly name: string;
  /** `HTTPRoute shop/cart`. */
  readonly origin: string;
  /** The part of the origin: `rules[1]`, `http[0]`. */
  readonly section: string;
  readonly backends: readonly Backend[];
  readonly redirect: Redirect | undefined;
  readonly response: DirectResponse | undefined;
  readonly requestHeaders: HeaderChanges | undefined;
  readonly responseHeaders: HeaderChanges | undefined;
  readonly rewrite: Rewrite | undefined;
  /** End of request to end of response, all tries; 0: none. */
  readonly timeoutMs: number;
  /** undefined: the waypoint's default. */
  readonly retry: Retry | undefined;
  readonly mirrors: readonly Mirror[];
  readonly cors: Cors | undefined;
  readonly fault: Fault | undefined;
  readonly session: SessionPersistence | undefined;
}

export interface HttpEntry {
  /** Index into the rules. */
  readonly rule: number;
  readonly match: HttpMatch;
}

export interface VirtualHost {
  /** `*`, `*.suffix` (one label or more), or a name; lower case, no port. */
  readonly hosts: readonly string[];
  /** The first that matches wins. */
  readonly entries: readonly HttpEntry[];
}

export interface HttpRoutes {
  /** '': clients of all namespaces. */
  readonly clientNamespace: string;
  readonly hosts: readonly VirtualHost[];
  readonly rules: readonly HttpRule[];
  /** The most specific host decides alone; otherwise less specific ones are asked when it has no match. */
  readonly exclusiveHosts: boolean;
}

export interface TlsRoute {
  readonly clientNamespace: string;
  /** Server names, as {@link VirtualHost.hosts}. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly origin: string;
  readonly backends: readonly Backend[];
}

export interface TcpRoute {
  readonly clientNamespace: string;
  readonly port: number;
  readonly origin: string;
  readonly backends: readonly Backend[];
  /** Ranges of the destination; empty: any. */
  readonly destinationRanges: readonly string[];
  readonly sourceNamespace: string;
}

export interface RouteTable {
  /** `<namespace>/<hostname>:<port>` of a service, `<namespace>/<gateway>/<listener>` of a gateway. */
  readonly name: string;
  /** The first group whose client namespace fits decides alone. */
  readonly http: readonly HttpRoutes[];
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
}

/** A table with routes for streams and none for requests makes its port opaque: it is not sniffed. */
export function isOpaque(table: RouteTable): boolean {
  return table.http.length === 0 && table.tls.length + table.tcp.length > 0;
}

/** Name of the table of a service's port. */
export function tableName(service: string, port: number): string {
  return `${service}:${port}`;
}

export const ANY_PATH: PathMatch = { kind: 'any', value: '', ignoreCase: false };

/** A match that every request meets. */
export const ANY_REQUEST: HttpMatch = {
  path: ANY_PATH,
  method: undefined,
  scheme: undefined,
  authority: undefined,
  headers: [],
  withoutHeaders: [],
  query: [],
  claims: [],
  port: 0,
  sourceNamespace: '',
};

/** A rule that does nothing yet; without backends it answers 500. */
export const BLANK_RULE: HttpRule = {
  name: '',
  origin: '',
  section: '',
  backends: [],
  redirect: undefined,
  response: undefined,
  requestHeaders: undefined,
  responseHeaders: undefined,
  rewrite: undefined,
  timeoutMs: 0,
  retry: undefined,
  mirrors: [],
  cors: undefined,
  fault: undefined,
  session: undefined,
};

/** A backend that is the target and nothing else. */
export function backendTo(target: Target, weight = 1): Backend {
  return {
    weight,
    target,
    invalid: '',
    requestHeaders: undefined,
    responseHeaders: undefined,
    rewrite: undefined,
    redirect: undefined,
    mirrors: [],
  };
}

/** Two more tries when nothing was answered yet or the peer says it did nothing (Istio's default). */
export const DEFAULT_RETRY: Retry = {
  attempts: 2,
  perTryTimeoutMs: 0,
  conditions: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
  codes: [],
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidTried: true,
  remoteLocalities: false,
};
