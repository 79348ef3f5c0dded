// SPDX-License-Identifier: Apache-2.0
//
// GRPCRoute, TLSRoute, TCPRoute, and what happens where kinds meet.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import { isOpaque } from '#lib/mesh/http/route-table.ts';
import { routeTcp, routeTls } from '#lib/mesh/http/stream-route.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { ip } from '#lib/testkit/mesh.ts';
import { answer, brief, CART, client, listener, PAY, routeContext } from '#lib/testkit/routes.ts';
import type { ConvertedRoute } from './context.ts';
import { convertGrpcRoute } from './grpc-route.ts';
import { convertHttpRoute } from './http-route.ts';
import type { GrpcRouteRule, ParentRef } from './spec.ts';
import { convertTcpRoute, convertTlsRoute } from './stream-route.ts';
import { type BuiltTable, buildTable } from './table.ts';

const ON_CART: ParentRef = { group: '', kind: 'Service', name: 'cart', port: 80 };
const toCart = [{ name: 'cart', port: 80 }];
const toPay = [{ name: 'pay', port: 80 }];

function object(
  name: string,
  created = '2026-01-01T00:00:00Z',
): { name: string; namespace: string; creationTimestamp: string } {
  return { name, namespace: 'shop', creationTimestamp: created };
}

function built(...routes: readonly ConvertedRoute[]): BuiltTable {
  const attachments = routes.flatMap(({ parents }) => parents.flatMap((one) => one.attachments));
  return buildTable(attachments[0]?.table ?? '', attachments);
}

function grpc(rules: readonly GrpcRouteRule[]): RouteTable {
  return built(convertGrpcRoute({ metadata: object('g'), spec: { parentRefs: [ON_CART], rules } }, routeContext()))
    .table;
}

function accepted(route: ConvertedRoute): string | undefined {
  return route.parents[0]?.conditions.map(({ reason, status }) => `${status} ${reason}`)[0];
}

test('gRPC methods: service and method, either alone, expressions, none for every call', () => {
  const cases: readonly (readonly [
    NonNullable<NonNullable<GrpcRouteRule['matches']>[number]['method']> | undefined,
    string,
    boolean,
  ])[] = [
    [{ service: 'a.B', method: 'Do' }, '/a.B/Do', true],
    [{ service: 'a.B', method: 'Do' }, '/a.B/Done', false],
    [{ service: 'a.B' }, '/a.B/Any', true],
    [{ service: 'a.B' }, '/a.Bc/Any', false],
    [{ method: 'Do' }, '/x.Y/Do', true],
    [{ method: 'Do' }, '/x.Y/Undo', false],
    [{ type: 'RegularExpression', service: 'a\\..*', method: 'Do|Undo' }, '/a.C/Undo', true],
    [{ type: 'RegularExpression', service: 'a\\..*', method: 'Do|Undo' }, '/b.C/Undo', false],
    [{ type: 'RegularExpression', method: 'D.' }, '/b.C/Do', true],
    [undefined, '/any.Thing/Here', true],
  ];
  for (const [method, path, wanted] of cases) {
    const table = grpc([{ matches: [method === undefined ? {} : { method }], backendRefs: toCart }]);
    assert.equal(
      brief(answer(table, `POST h${path}`)),
      wanted ? 'shop/cart:80' : '404 no-route',
      `${JSON.stringify(method)} ${path}`,
    );
  }
});

test('gRPC precedence: longer service, longer method, more headers', () => {
  const table = grpc([
    { backendRefs: toPay },
    { matches: [{ method: { service: 'a.B' } }], backendRefs: toPay },
    { matches: [{ method: { service: 'a.B', method: 'Do' } }], backendRefs: toPay },
    {
      matches: [{ method: { service: 'a.B', method: 'Do' }, headers: [{ name: 'V', value: '2' }] }],
      backendRefs: toCart,
    },
  ]);
  assert.equal(brief(answer(table, 'POST h/a.B/Do', { headers: { v: '2' } })), 'shop/cart:80');
  assert.equal(brief(answer(table, 'POST h/a.B/Do')), 'shop/pay:80');
});

test('a filter that gRPC does not have makes its rule answer 500', () => {
  const redirects: GrpcRouteRule = { filters: [{ type: 'RequestRedirect', requestRedirect: {} }], backendRefs: toCart };
  const route = convertGrpcRoute(
    { metadata: object('g'), spec: { parentRefs: [ON_CART], rules: [redirects] } },
    routeContext(),
  );
  assert.equal(accepted(route), 'false UnsupportedValue');
});

test('TCP: streams by weight, the oldest route of a listener serves, all are accepted', () => {
  const parentRefs: readonly ParentRef[] = [{ name: 'gw', sectionName: 'tcp' }];
  const context = routeContext([
    listener({ name: 'tcp', port: 9000, kinds: ['TCPRoute'] }),
    listener({ name: 'http' }),
  ]);
  const of = (
    name: string,
    created: string,
    backendRefs: readonly { name: string; port: number; weight?: number }[],
  ): ConvertedRoute =>
    convertTcpRoute({ metadata: object(name, created), spec: { parentRefs, rules: [{ backendRefs }] } }, context);
  const old = of('old', '2026-01-01T00:00:00Z', [
    { name: 'cart', port: 80, weight: 9 },
    { name: 'gone', port: 80, weight: 1 },
  ]);
  const young = of('young', '2026-02-01T00:00:00Z', toPay);
  assert.deepEqual([accepted(old), accepted(young)], ['true Accepted', 'true Accepted']);
  const { table } = built(young, old);
  assert.equal(isOpaque(table), true);
  const stream = { port: 9000, destinationIp: ip('10.0.0.1'), namespace: undefined, serverName: '' };
  const at = (chance: number): string => {
    const verdict = routeTcp(table, stream, () => chance, NO_PROOF);
    return verdict === undefined ? 'none' : verdict.kind === 'forward' ? verdict.target.service : verdict.reason;
  };
  assert.deepEqual([at(0.5), at(0.95)], [CART, 'invalid-backend']);
  const wrong = convertTcpRoute(
    { metadata: object('t'), spec: { parentRefs: [{ name: 'gw', sectionName: 'http' }], rules: [] } },
    context,
  );
  assert.equal(accepted(wrong), 'false NotAllowedByListeners');
});

test('TLS: the most specific server name decides', () => {
  const context = routeContext([listener({ name: 'tls', port: 443, kinds: ['TLSRoute'], hostname: '*.org' })]);
  const of = (name: string, hostnames: readonly string[], backendRefs: typeof toCart): ConvertedRoute =>
    convertTlsRoute(
      { metadata: object(name), spec: { parentRefs: [{ name: 'gw' }], hostnames, rules: [{ backendRefs }] } },
      context,
    );
  const { table } = built(of('wide', ['*.shop.org'], toPay), of('narrow', ['a.shop.org'], toCart));
  const to = (serverName: string): string => {
    const verdict = routeTls(
      table,
      { port: 443, destinationIp: ip('10.0.0.1'), namespace: undefined, serverName },
      () => 0,
      NO_PROOF,
    );
    return verdict?.kind === 'forward' ? verdict.target.service : (verdict?.reason ?? 'none');
  };
  assert.deepEqual(
    [to('a.shop.org'), to('A.SHOP.ORG'), to('b.c.shop.org'), to('shop.org'), to('')],
    [CART, CART, PAY, 'none', 'none'],
  );
  assert.equal(accepted(of('no', ['a.com'], toPay)), 'false NoMatchingListenerHostname');
});

test('before a service gRPC routes exclude HTTP, TLS and TCP ones', () => {
  const context = routeContext();
  const spec = { parentRefs: [ON_CART], rules: [{ backendRefs: toCart }] };
  const { conflicts, table } = built(
    convertHttpRoute({ metadata: object('h'), spec }, context),
    convertTcpRoute({ metadata: object('t'), spec }, context),
    convertGrpcRoute({ metadata: object('g'), spec: { ...spec, rules: [{ backendRefs: toPay }] } }, context),
  );
  assert.deepEqual(conflicts.map(({ kind, key }) => `${kind} ${key}`).sort(), ['HTTPRoute shop/h', 'TCPRoute shop/t']);
  assert.equal(table.tcp.length, 0);
  assert.equal(brief(answer(table, 'POST h/a.B/Do')), 'shop/pay:80');
});

test('at a listener the older of HTTP and gRPC routes with common hosts stays', () => {
  const context = routeContext([listener({ name: 'http' })]);
  const spec = (host: string) => ({
    parentRefs: [{ name: 'gw' }],
    hostnames: [host],
    rules: [{ backendRefs: toCart }],
  });
  const { conflicts } = built(
    convertHttpRoute({ metadata: object('h', '2026-02-01T00:00:00Z'), spec: spec('a.org') }, context),
    convertGrpcRoute({ metadata: object('g', '2026-01-01T00:00:00Z'), spec: spec('*.org') }, context),
    convertHttpRoute({ metadata: object('x', '2026-03-01T00:00:00Z'), spec: spec('a.com') }, context),
  );
  assert.deepEqual(
    conflicts.map(({ key }) => key),
    ['shop/h'],
  );
});

test('streams: a consumer route is only for its own namespace', () => {
  const parentRefs = [{ ...ON_CART, namespace: 'shop' }];
  const consumer = convertTcpRoute(
    {
      metadata: { ...object('c'), namespace: 'web' },
      spec: { parentRefs, rules: [{ backendRefs: [{ ...toPay[0]!, namespace: 'shop' }] }] },
    },
    routeContext(),
  );
  const { table } = built(consumer);
  const to = (namespace: string | undefined): string => {
    const verdict = routeTcp(
      table,
      { port: 80, destinationIp: ip('10.0.0.1'), namespace, serverName: '' },
      () => 0,
      NO_PROOF,
    );
    return verdict?.kind === 'forward' ? verdict.target.service : 'none';
  };
  assert.deepEqual([to('web'), to('shop'), to(undefined)], [PAY, 'none', 'none']);
  assert.equal(client('web').namespace, 'web');
});
