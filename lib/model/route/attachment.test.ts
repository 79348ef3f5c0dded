// SPDX-License-Identifier: Apache-2.0
//
// Where HTTPRoutes attach, what they refer to, and what their authors are told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conditions, httpRoute, ON_CART, ON_GATEWAY, table, tableOf, toCart, toPay } from '#lib/testkit/http-routes.ts';
import { answer, brief, CART, client, listener, routeContext } from '#lib/testkit/routes.ts';
import type { ConvertedRoute } from './context.ts';
import { convertHttpRoute } from './http-route.ts';
import type { HttpRouteRule, ParentRef, ReferenceGrant } from './spec.ts';

test('at a gateway another namespace needs a ReferenceGrant, before a service it does not', () => {
  const rules: readonly HttpRouteRule[] = [{ backendRefs: [{ namespace: 'other', name: 'away', port: 80 }] }];
  const grant = (fields: object): ReferenceGrant => ({
    metadata: { name: 'g', namespace: 'other' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
      to: [{ group: '', kind: 'Service' }],
      ...fields,
    },
  });
  const near = (grants: readonly ReferenceGrant[]): string[] =>
    conditions(
      convertHttpRoute(httpRoute(rules, { parents: [ON_GATEWAY] }), routeContext([listener({ name: 'http' })], grants)),
    );
  const refused = ['Accepted=True/Accepted', 'ResolvedRefs=False/RefNotPermitted'];
  const granted = ['Accepted=True/Accepted', 'ResolvedRefs=True/ResolvedRefs'];
  assert.deepEqual(near([]), refused);
  assert.deepEqual(near([grant({})]), granted);
  assert.deepEqual(near([grant({ to: [{ group: '', kind: 'Service', name: 'away' }] })]), granted);
  assert.deepEqual(near([grant({ to: [{ group: '', kind: 'Service', name: 'else' }] })]), refused);
  assert.deepEqual(near([grant({ to: [{ group: '', kind: 'Secret' }] })]), refused);
  assert.deepEqual(
    near([grant({ from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'no' }] })]),
    refused,
  );
  assert.deepEqual(
    near([grant({ from: [{ group: 'gateway.networking.k8s.io', kind: 'TCPRoute', namespace: 'shop' }] })]),
    refused,
  );
  assert.deepEqual(near([{ ...grant({}), metadata: { name: 'g', namespace: 'shop' } }]), refused);
  assert.equal(brief(answer(table(rules), 'GET a/')), 'other/away:80');
});

test('parents that cannot be had: reasons, each parent for itself', () => {
  const listeners = [
    listener({ name: 'http' }),
    listener({ name: 'named', port: 8080, hostname: '*.shop.org' }),
    listener({ name: 'tls', port: 443, kinds: ['TLSRoute'] }),
    listener({ name: 'closed', port: 81, admits: () => false }),
  ];
  const cases: readonly (readonly [ParentRef, string])[] = [
    [{ name: 'gw', sectionName: 'http' }, 'Accepted=True/Accepted'],
    [{ name: 'gw', sectionName: 'none' }, 'Accepted=False/NoMatchingParent'],
    [{ name: 'gw', port: 1 }, 'Accepted=False/NoMatchingParent'],
    [{ name: 'gw', sectionName: 'http', port: 8080 }, 'Accepted=False/NoMatchingParent'],
    [{ name: 'gw', sectionName: 'tls' }, 'Accepted=False/NotAllowedByListeners'],
    [{ name: 'gw', sectionName: 'closed' }, 'Accepted=False/NotAllowedByListeners'],
    [{ name: 'gw', sectionName: 'named' }, 'Accepted=False/NoMatchingListenerHostname'],
    [{ ...ON_CART, name: 'gone' }, 'Accepted=False/NoMatchingParent'],
    [{ ...ON_CART, port: 99 }, 'Accepted=False/NoMatchingParent'],
    [{ ...ON_CART, name: 'headless' }, 'Accepted=False/NoMatchingParent'],
    [{ ...ON_CART, name: 'unbound' }, 'Accepted=True/Accepted'],
  ];
  const parents = cases.map(([ref]) => ref);
  const converted = convertHttpRoute(
    httpRoute([{ backendRefs: toCart }], { parents, hostnames: ['a.org'] }),
    routeContext(listeners),
  );
  for (const [i, [ref, wanted]] of cases.entries()) {
    assert.equal(conditions(converted, i)[0], wanted, JSON.stringify(ref));
  }
  assert.equal(conditions(converted, cases.length - 1).at(-1), 'ResolvedWaypoints=False/MissingUseWaypointLabel');
  const foreign = convertHttpRoute(httpRoute([], { parents: [{ name: 'not-ours' }] }), routeContext(listeners));
  assert.deepEqual(foreign.parents, []);
});

test('a service parent without a port means all its ports, a consumer route only its own clients', () => {
  const both = convertHttpRoute(
    httpRoute([{ backendRefs: toPay }], { parents: [{ group: '', kind: 'Service', name: 'cart' }] }),
    routeContext(),
  );
  assert.deepEqual(
    both.parents[0]?.attachments.map((one) => one.table),
    [`${CART}:80`, `${CART}:81`],
  );
  const parents = [{ ...ON_CART, namespace: 'shop' }];
  const consumer = convertHttpRoute(
    httpRoute(
      [{ matches: [{ path: { value: '/c' } }], backendRefs: [{ namespace: 'other', name: 'away', port: 80 }] }],
      { namespace: 'web', parents },
    ),
    routeContext(),
  );
  const producer = convertHttpRoute(httpRoute([{ backendRefs: toPay }]), routeContext());
  const merged = tableOf(producer, consumer);
  assert.equal(brief(answer(merged, 'GET a/c', { identity: client('web') })), 'other/away:80');
  assert.equal(brief(answer(merged, 'GET a/x', { identity: client('web') })), '404 no-route', 'groups are not mixed');
  assert.equal(brief(answer(merged, 'GET a/c', { identity: client('shop') })), 'shop/pay:80');
  assert.equal(brief(answer(merged, 'GET a/c')), 'shop/pay:80');
});

test('hostnames meet those of listeners; the most specific decides first', () => {
  const context = routeContext([listener({ name: 'wild', hostname: '*.org' })]);
  const of = (hostnames: readonly string[], backendRefs: typeof toCart, path = '/'): ConvertedRoute =>
    convertHttpRoute(
      httpRoute([{ matches: [{ path: { value: path } }], backendRefs }], {
        parents: [ON_GATEWAY],
        hostnames,
        name: hostnames[0] ?? 'any',
      }),
      context,
    );
  const routes = tableOf(of(['*.shop.org', 'elsewhere.com'], toPay), of(['a.shop.org'], toCart, '/a'));
  const cases: readonly (readonly [string, string])[] = [
    ['GET a.shop.org:8080/a', 'shop/cart:80'],
    ['GET A.Shop.Org/a/x', 'shop/cart:80'],
    ['GET a.shop.org/other', 'shop/pay:80'],
    ['GET x.y.shop.org/', 'shop/pay:80'],
    ['GET shop.org/', '404 no-route'],
    ['GET elsewhere.com/', '404 no-route'],
  ];
  for (const [line, wanted] of cases) assert.equal(brief(answer(routes, line)), wanted, line);
  assert.equal(brief(answer(tableOf(of([], toPay)), 'GET any.org/')), 'shop/pay:80');
  assert.equal(brief(answer(tableOf(of([], toPay)), 'GET any.com/')), '404 no-route');
});

test('a reference that leads nowhere answers 500 for its share and is named in status', () => {
  const context = routeContext();
  const cases: readonly (readonly [HttpRouteRule['backendRefs'], string])[] = [
    [[{ kind: 'Wardrobe', name: 'x', port: 80 }], 'InvalidKind'],
    [[{ name: 'gone', port: 80 }], 'BackendNotFound'],
    [[{ name: 'cart', port: 99 }], 'BackendNotFound'],
    [[{ name: 'cart' }], 'BackendNotFound'],
  ];
  for (const [backendRefs = [], reason] of cases) {
    const converted = convertHttpRoute(httpRoute([{ backendRefs }]), context);
    assert.deepEqual(conditions(converted).slice(0, 2), ['Accepted=True/Accepted', `ResolvedRefs=False/${reason}`]);
    assert.equal(brief(answer(tableOf(converted), 'GET a/')), '500 invalid-backend');
  }
});

test('a rule that cannot be obeyed answers 500, its siblings are obeyed, and status says so', () => {
  const bad: HttpRouteRule = {
    matches: [{ path: { value: '/bad' } }],
    filters: [{ type: 'ExtensionRef' }],
    backendRefs: toPay,
  };
  const converted = convertHttpRoute(httpRoute([bad, { backendRefs: toCart }]), routeContext());
  assert.deepEqual(conditions(converted), [
    'Accepted=True/Accepted',
    'ResolvedRefs=True/ResolvedRefs',
    'PartiallyInvalid=True/UnsupportedValue',
    'ResolvedWaypoints=True/ResolvedWaypoints',
  ]);
  assert.equal(brief(answer(tableOf(converted), 'GET a/bad')), '500 no-backend');
  assert.equal(brief(answer(tableOf(converted), 'GET a/good')), 'shop/cart:80');
  const refusals: readonly (readonly [HttpRouteRule, string])[] = [
    [bad, 'UnsupportedValue'],
    [{ matches: [{ path: { type: 'RegularExpression', value: '/(' } }], backendRefs: toCart }, 'UnsupportedValue'],
    [
      {
        filters: [
          { type: 'RequestRedirect', requestRedirect: {} },
          { type: 'URLRewrite', urlRewrite: {} },
        ],
      },
      'IncompatibleFilters',
    ],
    [{ filters: [{ type: 'RequestRedirect', requestRedirect: {} }], backendRefs: toCart }, 'IncompatibleFilters'],
    [{ timeouts: { request: 'soon' }, backendRefs: toCart }, 'UnsupportedValue'],
  ];
  for (const [rule, reason] of refusals) {
    assert.equal(conditions(convertHttpRoute(httpRoute([rule]), routeContext()))[0], `Accepted=False/${reason}`);
  }
});
