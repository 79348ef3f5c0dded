// SPDX-License-Identifier: Apache-2.0
//
// What a waypoint or gateway is itself: ambit.waypoint.v1.Waypoint as plain values.

import type { HeaderValue, Retry, Target } from './route-table.ts';

export type PathNormalisation = 'base' | 'merge-slashes' | 'decode-and-merge-slashes' | 'none';

export interface ListenerTls {
  readonly mode: 'terminate' | 'passthrough';
  readonly certificates: readonly { readonly chain: Uint8Array; readonly key: Uint8Array }[];
  readonly caCertificates: Uint8Array;
  readonly clientCertificate: 'none' | 'required' | 'optional' | 'any';
}

export interface Listener {
  readonly name: string;
  readonly port: number;
  /** HBONE, HTTP, HTTPS, TLS, TCP. */
  readonly protocol: string;
  readonly hostname: string;
  /** Name of a route table; '' for HBONE, whose tables are the services'. */
  readonly routeTable: string;
  readonly tls: ListenerTls | undefined;
}

export interface ProxyHeaders {
  readonly forwardedPort: boolean;
  readonly forwardedHost: boolean;
  readonly noRequestId: boolean;
  readonly noAttemptCount: boolean;
  readonly passServer: boolean;
  readonly noDebug: boolean;
  /** What `server` says; '': `istio-envoy`. */
  readonly server: string;
}

/** Something outside the mesh's services that logs, traces or questions go to. */
export interface Provider {
  readonly name: string;
  readonly kind:
    | 'file-log'
    | 'otlp-trace'
    | 'zipkin-trace'
    | 'otlp-log'
    | 'ext-authz-grpc'
    | 'ext-authz-http'
    | 'prometheus';
  readonly target: Target | undefined;
  readonly path: string;
  readonly format: string;
  readonly json: boolean;
  readonly timeoutMs: number;
  /** A question that gets no answer lets the request pass. */
  readonly failOpen: boolean;
  /** Answer to the client when a question gets none. */
  readonly statusOnError: number;
  /** Headers of the request that go along with a question by HTTP: names, `prefix*`, `*suffix`. */
  readonly requestHeaders: readonly string[];
  /** Headers of an answer by HTTP that allows, set in the request. */
  readonly upstreamHeaders: readonly string[];
  /** Headers of an answer by HTTP that denies, for the client; none named: all of them. */
  readonly denyHeaders: readonly string[];
  /** Headers of an answer by HTTP that allows, for the client. */
  readonly allowHeaders: readonly string[];
  readonly extraHeaders: readonly HeaderValue[];
  /** Octets of content that go along; 0 for none. */
  readonly bodyBytes: number;
  /** Longer content goes along in part; otherwise it is refused. */
  readonly bodyPartial: boolean;
  readonly bodyAsBytes: boolean;
  readonly jsonFields: Readonly<Record<string, string>>;
  /** Of traces: `environment`. */
  readonly resourceDetectors: readonly string[];
  /** The resource is described by OpenTelemetry's conventions. */
  readonly otelConventions: boolean;
  /** Characters of a URL in a span; 0: the default. */
  readonly maxTagLength: number;
  /** Zipkin: headers of W3C are written too. */
  readonly w3cToo: boolean;
}

/** What a provider is unless it says otherwise. */
export const BLANK_PROVIDER: Omit<Provider, 'name' | 'kind' | 'target'> = {
  path: '',
  format: '',
  json: false,
  timeoutMs: 600_000,
  failOpen: false,
  statusOnError: 403,
  requestHeaders: [],
  upstreamHeaders: [],
  denyHeaders: [],
  allowHeaders: [],
  extraHeaders: [],
  bodyBytes: 0,
  bodyPartial: false,
  bodyAsBytes: false,
  jsonFields: {},
  resourceDetectors: [],
  otelConventions: false,
  maxTagLength: 0,
  w3cToo: false,
};

export interface WaypointSettings {
  /** `<namespace>/<name>` of the Gateway. */
  readonly name: string;
  readonly listeners: readonly Listener[];
  readonly pathNormalisation: PathNormalisation;
  readonly defaultRetry: Retry | undefined;
  readonly headers: ProxyHeaders | undefined;
  readonly providers: readonly Provider[];
  readonly forwardClientIdentity: boolean;
  readonly trustedProxies: number;
  /** Clients of these trust domains are let in beside those of the own one. */
  readonly trustDomainAliases: readonly string[];
}
