// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { implicitTable } from '#lib/mesh/http/compiled-table.ts';
import { route } from '#lib/mesh/http/route.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { httpRoute, type RouteFields, table, tableOf, toCart, toPay } from '#lib/testkit/http-routes.ts';
import { answer, brief, CART, request, routeContext } from '#lib/testkit/routes.ts';
import type { ConvertedRoute } from './context.ts';
import { convertHttpRoute } from './http-route.ts';
import type { HttpRouteRule } from './spec.ts';

test('a prefix covers whole elements, an exact path nothing else', () => {
  const routes = table([
    { matches: [{ path: { value: '/v2/' } }], backendRefs: toPay },
    { matches: [{ path: { type: 'Exact', value: '/one' } }], backendRefs: toCart },
  ]);
  const cases: readonly (readonly [string, string])[] = [
    ['GET cart/v2', 'shop/pay:80'],
    ['GET cart/v2/', 'shop/pay:80'],
    ['GET cart/v2/x?y=1', 'shop/pay:80'],
    ['GET cart/v2x', '404 no-route'],
    ['GET cart/one?x', 'shop/cart:80'],
    ['GET cart/one/', '404 no-route'],
    ['GET cart/One', '404 no-route'],
  ];
  for (const [line, wanted] of cases) assert.equal(brief(answer(routes, line)), wanted, line);
});

test('precedence: exact, longer prefix, method, more headers, more parameters, older, name, first rule', () => {
  const better: readonly (readonly [string, HttpRouteRule['matches'], HttpRouteRule['matches']])[] = [
    ['exact before a prefix', [{ path: { type: 'Exact', value: '/a/b' } }], [{ path: { value: '/a/b' } }]],
    ['the longer prefix', [{ path: { value: '/a/b' } }], [{ path: { value: '/a' } }]],
    ['a method', [{ method: 'GET' }], [{ headers: [{ name: 'x', value: '1' }] }]],
    [
      'more headers',
      [
        {
          headers: [
            { name: 'x', value: '1' },
            { name: 'y', value: '2' },
          ],
        },
      ],
      [
        {
          headers: [{ name: 'x', value: '1' }],
          queryParams: [
            { name: 'q', value: '1' },
            { name: 'r', value: '1' },
          ],
        },
      ],
    ],
    [
      'more parameters',
      [
        {
          queryParams: [
            { name: 'q', value: '1' },
            { name: 'r', value: '1' },
          ],
        },
      ],
      [{ queryParams: [{ name: 'q', value: '1' }] }],
    ],
    [
      'a prefix before a regular expression',
      [{ path: { value: '/a' } }],
      [{ path: { type: 'RegularExpression', value: '/a/.*' } }],
    ],
  ];
  for (const [what, first, second] of better) {
    const routes = table([
      { matches: second ?? [], backendRefs: toPay },
      { matches: first ?? [], backendRefs: toCart },
    ]);
    const verdict = answer(routes, 'GET cart/a/b?q=1&r=1', { headers: { X: '1', Y: '2' } });
    assert.equal(brief(verdict), 'shop/cart:80', what);
  }
  const any = [{ matches: [{ path: { value: '/' } }] }];
  const context = routeContext();
  const of = (fields: RouteFields, backendRefs: typeof toCart): ConvertedRoute =>
    convertHttpRoute(httpRoute([{ ...any[0], backendRefs }], fields), context);
  const young = of({ name: 'a', created: '2026-02-01T00:00:00Z' }, toPay);
  assert.equal(brief(answer(tableOf(young, of({ name: 'b' }, toCart)), 'GET cart/')), 'shop/cart:80', 'the older');
  assert.equal(
    brief(answer(tableOf(of({ name: 'z' }, toPay), of({ name: 'b' }, toCart)), 'GET cart/')),
    'shop/cart:80',
  );
  assert.equal(brief(answer(table([{ backendRefs: toCart }, { backendRefs: toPay }]), 'GET cart/')), 'shop/cart:80');
});

test('headers fit whatever the case of their names, parameters exactly and by their first value', () => {
  const routes = table([
    {
      matches: [
        {
          headers: [
            { name: 'Version', value: 'two' },
            { name: 'version', value: 'ignored' },
          ],
          queryParams: [{ name: 'Animal', value: 'whale' }],
        },
        { headers: [{ type: 'RegularExpression', name: 'color', value: 'blu?e' }] },
      ],
      backendRefs: toCart,
    },
  ]);
  assert.equal(
    brief(answer(routes, 'GET a/?x=1&Animal=whale&Animal=cat', { headers: { VERSION: 'two' } })),
    'shop/cart:80',
  );
  assert.equal(
    brief(answer(routes, 'GET a/?Animal=cat&Animal=whale', { headers: { version: 'two' } })),
    '404 no-route',
  );
  assert.equal(brief(answer(routes, 'GET a/?animal=whale', { headers: { version: 'two' } })), '404 no-route');
  assert.equal(brief(answer(routes, 'GET a/', { headers: { Color: 'ble' } })), 'shop/cart:80');
  assert.equal(brief(answer(routes, 'GET a/', { headers: { Color: 'blues' } })), '404 no-route');
});

test('weights share traffic, a weight of 0 takes none, no weight at all answers 500', () => {
  const routes = table([
    {
      backendRefs: [
        { name: 'cart', port: 80, weight: 70 },
        { name: 'pay', port: 80, weight: 30 },
        { name: 'gone', port: 80, weight: 0 },
      ],
    },
  ]);
  let pay = 0;
  for (let i = 0; i < 1000; i++) {
    const target = brief(answer(routes, 'GET a/', {}, undefined, () => i / 1000));
    if (target === 'shop/pay:80') pay++;
    else assert.equal(target, 'shop/cart:80');
  }
  assert.equal(pay, 300);
  assert.equal(
    brief(answer(table([{ backendRefs: [{ name: 'cart', port: 80, weight: 0 }] }]), 'GET a/')),
    '500 no-backend',
  );
  assert.equal(brief(answer(table([{ backendRefs: [] }]), 'GET a/')), '500 no-backend');
  assert.equal(
    brief(answer(table([{}, { matches: [{ path: { value: '/x' } }], backendRefs: toCart }]), 'GET a/x')),
    'shop/cart:80',
  );
});

test('time-outs and retries as the API words them', () => {
  const rule = (spec: HttpRouteRule) => {
    const verdict = answer(table([{ ...spec, backendRefs: toCart }]), 'GET a/');
    return verdict.kind === 'forward' ? verdict.rule : undefined;
  };
  assert.equal(rule({ timeouts: { request: '1m500ms' } })?.timeoutMs, 60_500);
  assert.equal(rule({ timeouts: { request: '0s' } })?.timeoutMs, 0);
  assert.equal(rule({})?.retry, undefined);
  assert.equal(rule({ timeouts: { backendRequest: '500ms' } })?.retry?.perTryTimeoutMs, 500);
  const retry = rule({
    retry: { codes: [500], attempts: 3, backoff: '100ms' },
    timeouts: { backendRequest: '200ms' },
  })?.retry;
  assert.deepEqual([retry?.attempts, retry?.codes, retry?.backoffBaseMs, retry?.perTryTimeoutMs], [3, [500], 100, 200]);
  assert.equal(rule({ retry: {} })?.retry?.attempts, 2);
  assert.equal(rule({ retry: { attempts: 0 } })?.retry?.attempts, 0);
  const session = rule({
    sessionPersistence: { sessionName: 's', absoluteTimeout: '1h', cookieConfig: { lifetimeType: 'Permanent' } },
  })?.session;
  assert.deepEqual(session, { kind: 'cookie', name: 's', path: '/', lifetimeS: 3600, absoluteTimeoutMs: 3_600_000 });
});

test('a request that no rule fits is answered 404, a service without routes takes its own', () => {
  assert.equal(
    brief(answer(table([{ matches: [{ path: { value: '/x' } }], backendRefs: toCart }]), 'GET a/')),
    '404 no-route',
  );
  const own = route(implicitTable(CART, 80), request('GET a/'), () => 0, NO_PROOF);
  assert.equal(brief(own), 'shop/cart:80');
});
