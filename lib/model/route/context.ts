// SPDX-License-Identifier: Apache-2.0
//
// What the conversion of a route asks of the rest of the cluster, and what it answers: per parent the conditions to
// write in status, and the parts to put into tables. Conversions are pure; collections implement the context.

import type { HttpMatch, HttpRule, Retry, TcpRoute, TlsRoute } from '#lib/mesh/http/route-table.ts';
import type { ParentRef } from './spec.ts';

/** A service as routes see it, as parent or as backend. */
export interface RouteService {
  /** `<namespace>/<hostname>`. */
  readonly key: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  /** It has a virtual address, so that routes can stand before it. */
  readonly attachable: boolean;
  /** A waypoint is bound that will obey the route. */
  readonly hasWaypoint: boolean;
}

/** A listener of a Gateway or ListenerSet as routes see it. */
export interface RouteListener {
  readonly name: string;
  readonly port: number;
  /** '' for every host. */
  readonly hostname: string;
  /** Name of its route table. */
  readonly table: string;
  /** Kinds of routes it takes. */
  readonly kinds: readonly string[];
  /** Whether routes of a namespace may attach. */
  admits(namespace: string): boolean;
}

export interface Reference {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface RouteContext {
  /** A Service, ServiceEntry, ServiceImport or Hostname; undefined when there is none. */
  service(reference: Reference): RouteService | undefined;
  /** Listeners of a Gateway or ListenerSet that is ours; undefined when it is not there or another's. */
  listeners(reference: Reference): readonly RouteListener[] | undefined;
  /** Whether a ReferenceGrant in the target's namespace lets the reference be. */
  granted(from: Omit<Reference, 'name'>, to: Reference): boolean;
  /** Retries of a rule that says none. */
  readonly defaultRetry: Retry;
}

export interface ConditionValue {
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute' | 'VirtualService';

/** A match with what decides its place among others. */
export interface PartEntry {
  readonly match: HttpMatch;
  /** Index into the part's rules. */
  readonly rule: number;
  /** Larger first, element by element. */
  readonly rank: readonly number[];
}

/** What one route says, ready to be put into tables. */
export interface RoutePart {
  readonly kind: RouteKind;
  /** `namespace/name`. */
  readonly key: string;
  /** For age; '' counts as oldest. */
  readonly created: string;
  readonly rules: readonly HttpRule[];
  readonly entries: readonly PartEntry[];
  /** Of a TLS or TCP route, without its place (clientNamespace, hosts, port), which the attachment knows. */
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
}

/** Where a part goes. */
export interface Attachment {
  /** Name of the route table. */
  readonly table: string;
  /** The service whose table it is; undefined at a gateway. */
  readonly service: string | undefined;
  readonly port: number;
  /** '' for producer routes and gateways. */
  readonly clientNamespace: string;
  /** Hosts the route and the listener have in common; `*` for a service. */
  readonly hosts: readonly string[];
  readonly part: RoutePart;
  /** Index of the parentRef. */
  readonly parent: number;
}

/** What becomes of one parentRef. */
export interface ConvertedParent {
  readonly ref: ParentRef;
  readonly conditions: readonly ConditionValue[];
  readonly attachments: readonly Attachment[];
}

export interface ConvertedRoute {
  readonly key: string;
  readonly kind: RouteKind;
  readonly parents: readonly ConvertedParent[];
}

/** Name of the table of a gateway's listener. */
export function listenerTable(gateway: string, listener: string): string {
  return `${gateway}/${listener}`;
}
