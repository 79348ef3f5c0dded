// SPDX-License-Identifier: Apache-2.0
//
// A small cluster for tests of routes: services shop/cart and shop/pay with port 80 (and cart 81), shop/other, and a
// Gateway shop/gw with listeners that tests name; and requests made from one line.

import { compileTable } from '#lib/mesh/http/compiled-table.ts';
import { PlainRequest, type RequestFields } from '#lib/mesh/http/request.ts';
import { route } from '#lib/mesh/http/route.ts';
import { DEFAULT_RETRY, type RouteTable } from '#lib/mesh/http/route-table.ts';
import type { RouteVerdict } from '#lib/mesh/http/route-verdict.ts';
import { Identity } from '#lib/mesh/identity.ts';
import { NO_PROOF, type Recorder } from '#lib/mesh/proof.ts';
import type { Reference, RouteContext, RouteListener, RouteService } from '#lib/model/route/context.ts';
import { isGranted } from '#lib/model/route/reference.ts';
import type { ReferenceGrant } from '#lib/model/route/spec.ts';
import { ip } from './mesh.ts';

export const CART = 'shop/cart.shop.svc.cluster.local';
export const PAY = 'shop/pay.shop.svc.cluster.local';

function service(key: string, ...ports: readonly number[]): RouteService {
  return {
    key,
    ports: ports.map((port, i) => ({ name: `p${i}`, port })),
    attachable: true,
    hasWaypoint: true,
  };
}

const SERVICES: Readonly<Record<string, RouteService>> = {
  'shop/cart': service(CART, 80, 81),
  'shop/pay': service(PAY, 80),
  'other/away': service('other/away.other.svc.cluster.local', 80),
  'shop/headless': { ...service('shop/headless.shop.svc.cluster.local', 80), attachable: false },
  'shop/unbound': { ...service('shop/unbound.shop.svc.cluster.local', 80), hasWaypoint: false },
};

export function listener(fields: Partial<RouteListener> & { readonly name: string }): RouteListener {
  return {
    port: 80,
    hostname: '',
    table: `shop/gw/${fields.name}`,
    kinds: ['HTTPRoute', 'GRPCRoute'],
    admits: (namespace) => namespace === 'shop',
    ...fields,
  };
}

/** @param grants in the namespace of their metadata */
export function routeContext(
  listeners: readonly RouteListener[] = [],
  grants: readonly ReferenceGrant[] = [],
): RouteContext {
  return {
    service: ({ kind, name, namespace }: Reference) =>
      kind === 'Hostname'
        ? Object.values(SERVICES).find((one) => one.key.endsWith(`/${name}`))
        : SERVICES[`${namespace}/${name}`],
    listeners: ({ kind, name, namespace }) =>
      kind === 'Gateway' && namespace === 'shop' && name === 'gw' ? listeners : undefined,
    granted: (from, to) =>
      isGranted(
        grants.filter((one) => one.metadata.namespace === to.namespace),
        from,
        to,
      ),
    defaultRetry: DEFAULT_RETRY,
  };
}

export function client(namespace: string): Identity {
  return new Identity('cluster.local', namespace, 'default');
}

/** `GET host/path`. */
export function request(line: string, fields: RequestFields = {}): PlainRequest {
  const [, method = 'GET', authority = '', path = '/'] = /^(\S+) ([^/]*)(.*)$/.exec(line) ?? [];
  return new PlainRequest({ method, authority, path, ...fields }, ip('10.0.0.9'));
}

/** What the table says to a request, chance drawing the first. */
export function answer(
  table: RouteTable,
  line: string,
  fields: RequestFields = {},
  rec: Recorder = NO_PROOF,
  random = () => 0,
): RouteVerdict {
  return route(compileTable(table, undefined), request(line, fields), random, rec);
}

/** A verdict in a word: where it goes, or the status. */
export function brief(verdict: RouteVerdict): string {
  switch (verdict.kind) {
    case 'forward':
      return `${verdict.target.service.replace(/\..*/, '')}:${verdict.target.port}${verdict.target.subset === '' ? '' : `/${verdict.target.subset}`}`;
    case 'redirect':
      return `${verdict.status} ${verdict.location}`;
    case 'respond':
      return `${verdict.status} ${verdict.reason}`;
  }
}
