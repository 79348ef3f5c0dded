// SPDX-License-Identifier: Apache-2.0
//
// HTTPRoutes for tests, from rules and what a test cares about, and the tables they make.

import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { ConvertedRoute, RouteContext } from '#lib/model/route/context.ts';
import { convertHttpRoute } from '#lib/model/route/http-route.ts';
import type { HttpRoute, HttpRouteRule, ParentRef } from '#lib/model/route/spec.ts';
import { buildTable } from '#lib/model/route/table.ts';
import { routeContext } from './routes.ts';

export const ON_CART: ParentRef = { group: '', kind: 'Service', name: 'cart', port: 80 };
export const ON_GATEWAY: ParentRef = { name: 'gw' };

/** Fields a test may care about. */
export interface RouteFields {
  readonly name?: string;
  readonly namespace?: string;
  readonly created?: string;
  readonly parents?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
}

/** On Service shop/cart, port 80, unless told otherwise. */
export function httpRoute(rules: readonly HttpRouteRule[], fields: RouteFields = {}): HttpRoute {
  const {
    created = '2026-01-01T00:00:00Z',
    hostnames = [],
    name = 'r',
    namespace = 'shop',
    parents = [ON_CART],
  } = fields;
  return {
    metadata: { name, namespace, creationTimestamp: created },
    spec: { parentRefs: parents, hostnames, rules },
  };
}

/** What routes make together. */
export function tableOf(...routes: readonly ConvertedRoute[]): RouteTable {
  const attachments = routes.flatMap(({ parents }) => parents.flatMap((one) => one.attachments));
  return buildTable(attachments[0]?.table ?? '', attachments).table;
}

/** What a route of these rules makes. */
export function table(
  rules: readonly HttpRouteRule[],
  fields: RouteFields = {},
  context: RouteContext = routeContext(),
): RouteTable {
  return tableOf(convertHttpRoute(httpRoute(rules, fields), context));
}

export const toCart = [{ name: 'cart', port: 80 }];
export const toPay = [{ name: 'pay', port: 80 }];

/** `Type=Status/Reason` of a parent. */
export function conditions(converted: ConvertedRoute, parent = 0): string[] {
  return (converted.parents[parent]?.conditions ?? []).map(
    ({ reason, status, type }) => `${type}=${status ? 'True' : 'False'}/${reason}`,
  );
}
