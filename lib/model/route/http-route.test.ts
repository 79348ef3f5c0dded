// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { implicitTable } from '#lib/mesh/http/compiled-table.ts';
import { route } from '#lib/mesh/http/route.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { answer, brief, CART, client, listener, PAY, request, routeContext } from '#lib/testkit/routes.ts';
import type { ConvertedRoute, RouteContext } from './context.ts';
import { convertHttpRoute } from './http-route.ts';
import type { HttpRoute, HttpRouteRule, ParentRef, ReferenceGrant } from './spec.ts';
import { buildTable } from './table.ts';

const ON_CART: ParentRef = { group: '', kind: 'Service', name: 'cart', port: 80 };
const ON_GATEWAY: ParentRef = { name: 'gw' };

interface Fields {
  readonly name?: string;
  readonly namespace?: string;
  readonly created?: string;
  readonly parents?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
}

function httpRoute(rules: readonly HttpRouteRule[], fields: Fields = {}): HttpRoute {
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

function tableOf(...routes: readonly ConvertedRoute[]): RouteTable {
  const attachments = routes.flatMap(({ parents }) => parents.flatMap((one) => one.attachments));
  return buildTable(attachments[0]?.table ?? '', attachments).table;
}

function table(
  rules: readonly HttpRouteRule[],
  fields: Fields = {},
  context: RouteContext = routeContext(),
): RouteTable {
  return tableOf(convertHttpRoute(httpRoute(rules, fields), context));
}

const toCart = [{ name: 'cart', port: 80 }];
const toPay = [{ name: 'pay', port: 80 }];

function conditions(converted: ConvertedRoute, parent = 0): string[] {
  return (converted.parents[parent]?.conditions ?? []).map(
    ({ reason, status, type }) => `${type}=${status ? 'True' : 'False'}/${reason}`,
  );
}

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
  const of = (fields: Fields, backendRefs: typeof toCart): ConvertedRoute =>
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

test('redirects: scheme, host, port and path, and which port is left out', () => {
  const redirect = (requestRedirect: object, matches?: HttpRouteRule['matches']): RouteTable =>
    table([{ ...(matches && { matches }), filters: [{ type: 'RequestRedirect', requestRedirect }] }]);
  const cases: readonly (readonly [object, number, string, string])[] = [
    [{ hostname: 'x.org' }, 80, 'http', '302 http://x.org/a/b?q=1'],
    [{ hostname: 'x.org', statusCode: 301 }, 8080, 'http', '301 http://x.org:8080/a/b?q=1'],
    [{ scheme: 'https' }, 8080, 'http', '302 https://h/a/b?q=1'],
    [{ scheme: 'http' }, 443, 'https', '302 http://h/a/b?q=1'],
    [{ port: 8443 }, 80, 'http', '302 http://h:8443/a/b?q=1'],
    [{ port: 80 }, 8080, 'http', '302 http://h/a/b?q=1'],
    [{ scheme: 'https', port: 443 }, 80, 'http', '302 https://h/a/b?q=1'],
    [{ scheme: 'https', port: 8443 }, 80, 'http', '302 https://h:8443/a/b?q=1'],
    [{ path: { type: 'ReplaceFullPath', replaceFullPath: '/new' } }, 80, 'http', '302 http://h/new?q=1'],
    [
      { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' }, statusCode: 308 },
      80,
      'http',
      '308 http://h/new/b?q=1',
    ],
    [{ statusCode: 303 }, 80, 'http', '303 http://h/a/b?q=1'],
    [{ statusCode: 307 }, 80, 'http', '307 http://h/a/b?q=1'],
  ];
  for (const [spec, port, scheme, wanted] of cases) {
    const verdict = answer(redirect(spec, [{ path: { value: '/a' } }]), 'GET H:99/a/b?q=1', { port, scheme });
    assert.equal(brief(verdict), wanted, JSON.stringify(spec));
  }
});

test('a prefix is replaced as whole elements, and never leaves two slashes or none', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['/foo', '/xyz', '/foo/bar', '/xyz/bar'],
    ['/foo', '/xyz/', '/foo/bar', '/xyz/bar'],
    ['/foo/', '/xyz', '/foo/bar', '/xyz/bar'],
    ['/foo/', '/xyz/', '/foo/bar', '/xyz/bar'],
    ['/foo', '/xyz', '/foo', '/xyz'],
    ['/foo/', '/xyz', '/foo/', '/xyz/'],
    ['/foo', '', '/foo/bar', '/bar'],
    ['/foo', '/', '/foo/bar', '/bar'],
    ['/foo', '/', '/foo', '/'],
    ['/foo', '/', '/foo/', '/'],
    ['/', '/x', '/foo', '/x/foo'],
    ['/foo', '/x', '/foo?a=/foo', '/x?a=/foo'],
  ];
  for (const [value, replacePrefixMatch, path, wanted] of cases) {
    const verdict = answer(
      table([
        {
          matches: [{ path: { value } }],
          filters: [
            {
              type: 'URLRewrite',
              urlRewrite: { hostname: 'new.host', path: { type: 'ReplacePrefixMatch', replacePrefixMatch } },
            },
          ],
          backendRefs: toCart,
        },
      ]),
      `GET h${path}`,
    );
    assert.equal(verdict.kind, 'forward');
    if (verdict.kind !== 'forward') return;
    assert.equal(verdict.path, wanted, `${value} → ${replacePrefixMatch} on ${path}`);
    assert.equal(verdict.authority, 'new.host');
  }
});

test('header changes of rule and backend are kept in that order, names in lower case', () => {
  const verdict = answer(
    table([
      {
        filters: [
          {
            type: 'RequestHeaderModifier',
            requestHeaderModifier: {
              set: [
                { name: 'X-A', value: '1' },
                { name: 'x-a', value: '2' },
              ],
              remove: ['X-R'],
            },
          },
          { type: 'ResponseHeaderModifier', responseHeaderModifier: { add: [{ name: 'X-B', value: '1' }] } },
        ],
        backendRefs: [
          {
            name: 'cart',
            port: 80,
            filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { add: [{ name: 'X-C', value: '3' }] } }],
          },
        ],
      },
    ]),
    'GET a/',
  );
  assert.equal(verdict.kind, 'forward');
  assert.deepEqual(verdict.kind === 'forward' && verdict.requestHeaders, [
    { set: [{ name: 'x-a', value: '1' }], add: [], remove: ['x-r'] },
    { set: [], add: [{ name: 'x-c', value: '3' }], remove: [] },
  ]);
  assert.deepEqual(verdict.responseHeaders, [{ set: [], add: [{ name: 'x-b', value: '1' }], remove: [] }]);
});

test('mirrors are drawn by their percentage, each for itself', () => {
  const routes = table([
    {
      filters: [
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'pay', port: 80 } } },
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'cart', port: 81 }, percent: 20 } },
        {
          type: 'RequestMirror',
          requestMirror: { backendRef: { name: 'cart', port: 80 }, fraction: { numerator: 25, denominator: 50 } },
        },
      ],
      backendRefs: toCart,
    },
  ]);
  const mirrored = (chance: number): string[] => {
    const verdict = answer(routes, 'GET a/', {}, undefined, () => chance);
    return verdict.kind === 'forward'
      ? verdict.mirrors.map(({ backend }) => `${backend?.target?.service}:${backend?.target?.port}`)
      : [];
  };
  assert.deepEqual(mirrored(0.9), [`${PAY}:80`]);
  assert.deepEqual(mirrored(0.3), [`${PAY}:80`, `${CART}:80`]);
  assert.deepEqual(mirrored(0.1), [`${PAY}:80`, `${CART}:81`, `${CART}:80`]);
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

test('CORS: preflights are answered, other origins get no headers, credentials echo what was asked', () => {
  const routes = (cors: object): RouteTable => table([{ filters: [{ type: 'CORS', cors }], backendRefs: toCart }]);
  const ask = (cors: object, origin: string, headers: Record<string, string> = {}): Record<string, string> => {
    const verdict = answer(routes(cors), 'OPTIONS a/', {
      headers: { origin, 'access-control-request-method': 'PUT', ...headers },
    });
    assert.equal(brief(verdict), '200 preflight');
    return verdict.kind === 'respond'
      ? Object.fromEntries(verdict.headers.map(({ name, value }) => [name, value]))
      : {};
  };
  const plain = {
    allowOrigins: ['https://www.foo.com', 'https://*.bar.com'],
    allowMethods: ['GET', 'PUT'],
    allowHeaders: ['x-a'],
    maxAge: 3600,
  };
  assert.deepEqual(ask(plain, 'https://www.foo.com'), {
    'access-control-allow-origin': 'https://www.foo.com',
    vary: 'Origin',
    'access-control-allow-methods': 'GET, PUT',
    'access-control-allow-headers': 'x-a',
    'access-control-max-age': '3600',
  });
  assert.equal(ask(plain, 'https://a.b.bar.com')['access-control-allow-origin'], 'https://a.b.bar.com');
  assert.deepEqual(ask(plain, 'https://bar.com'), {});
  assert.deepEqual(ask(plain, 'https://evil.com/.bar.com'), {});
  assert.deepEqual(ask(plain, 'http://www.foo.com'), {});
  const open = { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true };
  const asked = ask(open, 'https://x', { 'access-control-request-headers': 'x-q' });
  assert.equal(asked['access-control-allow-methods'], 'PUT');
  assert.equal(asked['access-control-allow-headers'], 'x-q');
  assert.equal(asked['access-control-allow-credentials'], 'true');
  assert.equal(asked['access-control-max-age'], '5');
  assert.equal(ask({ ...open, allowCredentials: false }, 'https://x')['access-control-allow-methods'], '*');
  const simple = answer(routes({ ...plain, exposeHeaders: ['x-e'] }), 'GET a/', {
    headers: { origin: 'https://www.foo.com' },
  });
  assert.deepEqual(simple.responseHeaders[0]?.set, [
    { name: 'access-control-allow-origin', value: 'https://www.foo.com' },
    { name: 'access-control-expose-headers', value: 'x-e' },
  ]);
  assert.deepEqual(answer(routes(plain), 'GET a/', { headers: { origin: 'https://no' } }).responseHeaders, []);
});

test('a request that no rule fits is answered 404, a service without routes takes its own', () => {
  assert.equal(
    brief(answer(table([{ matches: [{ path: { value: '/x' } }], backendRefs: toCart }]), 'GET a/')),
    '404 no-route',
  );
  const own = route(implicitTable(CART, 80), request('GET a/'), () => 0, NO_PROOF);
  assert.equal(brief(own), 'shop/cart:80');
});
