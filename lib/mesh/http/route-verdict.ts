// SPDX-License-Identifier: Apache-2.0
//
// What routing answers. A verdict refers to the rule and backend for everything they say as it stands (time-outs,
// retries, session persistence), and carries only what was drawn or computed for this request.

import type { Session } from '../upstream/affinity.ts';
import type { Backend, HeaderChanges, HeaderValue, HttpEntry, HttpRule, Mirror, Target } from './route-table.ts';

/** What is injected: first the wait, then the end. */
export interface FaultVerdict {
  /** 0: no wait. */
  readonly delayMs: number;
  /** HTTP status to end with; 0: none. */
  readonly abortStatus: number;
  /** gRPC status to end with; undefined: none. */
  readonly abortGrpc: number | undefined;
}

export interface ForwardVerdict {
  readonly kind: 'forward';
  readonly rule: HttpRule;
  /** undefined: the service's own, implicit route. */
  readonly entry: HttpEntry | undefined;
  readonly backend: Backend;
  readonly target: Target;
  /** Path and query to send; the request's own string when nothing changes it. */
  readonly path: string;
  /** `:authority` to send; the request's own string when nothing changes it. */
  readonly authority: string;
  /** To apply in this order. */
  readonly requestHeaders: readonly HeaderChanges[];
  readonly responseHeaders: readonly HeaderChanges[];
  /** Those drawn for this request. */
  readonly mirrors: readonly Mirror[];
  /** undefined: none. Comes before anything is sent. */
  readonly fault: FaultVerdict | undefined;
  /** The client's session, when the rule has sessions and this one holds. */
  readonly session: Session | undefined;
}

export interface RedirectVerdict {
  readonly kind: 'redirect';
  readonly rule: HttpRule;
  readonly status: number;
  readonly location: string;
  readonly responseHeaders: readonly HeaderChanges[];
  readonly fault: FaultVerdict | undefined;
}

/** Why the proxy answers by itself. */
export type RespondReason = 'no-route' | 'direct' | 'preflight' | 'no-backend' | 'invalid-backend' | 'invalid-path';

export interface RespondVerdict {
  readonly kind: 'respond';
  readonly rule: HttpRule | undefined;
  readonly reason: RespondReason;
  /** What is wrong, for logs: `BackendNotFound`. */
  readonly subject: string;
  readonly status: number;
  readonly body: Uint8Array;
  readonly headers: readonly HeaderValue[];
  readonly responseHeaders: readonly HeaderChanges[];
  readonly fault: FaultVerdict | undefined;
}

export type RouteVerdict = ForwardVerdict | RedirectVerdict | RespondVerdict;

/** What becomes of a TLS or TCP stream; `reject` closes it. */
export type StreamVerdict =
  | { readonly kind: 'forward'; readonly origin: string; readonly target: Target }
  | {
      readonly kind: 'reject';
      readonly origin: string;
      readonly reason: 'no-route' | 'no-backend' | 'invalid-backend';
      readonly subject: string;
    };

/** Envoy's response flag for an answer of the proxy, as access logs and metrics carry it; '' for none. */
export function flagOf(reason: RespondReason): string {
  return reason === 'no-route' ? 'NR' : '';
}

/** Envoy's response code details. */
export function detailsOf(reason: RespondReason): string {
  switch (reason) {
    case 'no-route':
      return 'route_not_found';
    case 'invalid-path':
      return 'path_normalization_failed';
    case 'direct':
    case 'preflight':
    case 'no-backend':
    case 'invalid-backend':
      return 'direct_response';
  }
}
