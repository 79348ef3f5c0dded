// SPDX-License-Identifier: Apache-2.0
//
// Filters of HTTPRoutes, by what becomes of a request.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import { table, toCart } from '#lib/testkit/http-routes.ts';
import { answer, brief, CART, PAY } from '#lib/testkit/routes.ts';
import type { HttpRouteRule } from './spec.ts';

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
