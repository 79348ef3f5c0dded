// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestFields } from '#lib/mesh/http/request.ts';
import { DEFAULT_RETRY, type RouteTable } from '#lib/mesh/http/route-table.ts';
import type { ForwardVerdict, RouteVerdict } from '#lib/mesh/http/route-verdict.ts';
import { answer, brief, CART, client, PAY } from '#lib/testkit/routes.ts';
import { buildTable } from './table.ts';
import {
  attachVirtualService,
  type ConvertedVirtualService,
  convertVirtualService,
  isExportedTo,
  servesHost,
  type VirtualServiceContext,
} from './virtual-service.ts';
import type { RouteDestination, VirtualService, VsHttpRoute } from './virtual-service-spec.ts';

const SERVICES = [CART, PAY].map((key) => ({
  key,
  ports: (key === CART ? [80, 81] : [80]).map((port) => ({ name: `p${port}`, port })),
  attachable: true,
  hasWaypoint: true,
}));

function context(...delegates: readonly VirtualService[]): VirtualServiceContext {
  return {
    domain: 'cluster.local',
    serviceByHostname: (hostname) => SERVICES.find(({ key }) => key.endsWith(`/${hostname}`)),
    delegate: (namespace, name) =>
      delegates.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    defaultRetry: DEFAULT_RETRY,
  };
}

function virtualService(spec: NonNullable<VirtualService['spec']>, name = 'vs'): VirtualService {
  return { metadata: { name, namespace: 'shop' }, spec: { hosts: ['cart'], ...spec } };
}

function tableOf(converted: ConvertedVirtualService, port = 80): RouteTable {
  const attachment = attachVirtualService(converted, SERVICES[0]!, port);
  return buildTable(attachment.table, [attachment]).table;
}

function routed(http: readonly VsHttpRoute[], ...delegates: readonly VirtualService[]): RouteTable {
  return tableOf(convertVirtualService(virtualService({ http }), context(...delegates)));
}

function forwarded(verdict: RouteVerdict): ForwardVerdict {
  assert.equal(verdict.kind, 'forward');
  return verdict as ForwardVerdict;
}

function to(host: string, fields: Partial<RouteDestination> & { readonly subset?: string } = {}): RouteDestination[] {
  const { subset, ...rest } = fields;
  return [{ destination: { host, ...(subset !== undefined && { subset }) }, ...rest }];
}

const ELSE: VsHttpRoute = { route: to('pay') };

test('the first match wins; conditions of one match hold together, matches are alternatives', () => {
  const cases: readonly (readonly [VsHttpRoute['match'] & object, string, RequestFields, boolean])[] = [
    [[{ uri: { prefix: '/a' } }], 'GET h/abc', {}, true],
    [[{ uri: { exact: '/a' } }], 'GET h/a?x', {}, true],
    [[{ uri: { exact: '/a' } }], 'GET h/ab', {}, false],
    [[{ uri: { exact: '/A' }, ignoreUriCase: true }], 'GET h/a', {}, true],
    [[{ uri: { prefix: '/AB' }, ignoreUriCase: true }], 'GET h/abc', {}, true],
    [[{ uri: { regex: '/v[0-9]+/.*' } }], 'GET h/v12/x', {}, true],
    [[{ uri: { regex: '/v[0-9]+' } }], 'GET h/v12/x', {}, false],
    [[{ method: { exact: 'POST' } }, { uri: { prefix: '/x' } }], 'GET h/x', {}, true],
    [[{ method: { exact: 'POST' }, uri: { prefix: '/x' } }], 'GET h/x', {}, false],
    [[{ method: { regex: 'GET|PUT' } }], 'PUT h/', {}, true],
    [[{ scheme: { exact: 'https' } }], 'GET h/', { scheme: 'https' }, true],
    [[{ authority: { prefix: 'shop.' } }], 'GET shop.org:80/', {}, true],
    [[{ headers: { 'X-User': { exact: 'eve' } } }], 'GET h/', { headers: { 'x-user': 'eve' } }, true],
    [[{ headers: { 'x-user': {} } }], 'GET h/', { headers: { 'x-user': '' } }, true],
    [[{ headers: { 'x-user': {} } }], 'GET h/', {}, false],
    [[{ withoutHeaders: { 'x-user': {} } }], 'GET h/', {}, true],
    [[{ withoutHeaders: { 'x-user': { prefix: 'e' } } }], 'GET h/', { headers: { 'x-user': 'eve' } }, false],
    [[{ queryParams: { v: { exact: '1' } } }], 'GET h/?v=1', {}, true],
    [[{ queryParams: { v: { regex: '[0-9]+' } } }], 'GET h/?v=a', {}, false],
    [[{ port: 80 }], 'GET h/', {}, true],
    [[{ port: 81 }], 'GET h/', {}, false],
    [[{ sourceNamespace: 'web' }], 'GET h/', { identity: client('web') }, true],
    [[{ sourceNamespace: 'web' }], 'GET h/', {}, false],
    [[{ sourceLabels: { app: 'x' } }], 'GET h/', {}, false],
    [[{ gateways: ['shop/gw'] }], 'GET h/', {}, false],
    [[{ gateways: ['mesh', 'shop/gw'] }], 'GET h/', {}, true],
    [
      [{ headers: { '@request.auth.claims.groups': { exact: 'a' } } }],
      'GET h/',
      { claims: { groups: ['a', 'b'] } },
      true,
    ],
    [[{ headers: { '@request.auth.claims[a][b]': { exact: '1' } } }], 'GET h/', { claims: { a: { b: 1 } } }, true],
    [[{ headers: { '@request.auth.claims.groups': { exact: 'a' } } }], 'GET h/', {}, false],
  ];
  for (const [match, line, fields, wanted] of cases) {
    const verdict = answer(routed([{ match, route: to('cart') }, ELSE]), line, fields);
    assert.equal(brief(verdict), wanted ? 'shop/cart:80' : 'shop/pay:80', JSON.stringify(match));
  }
});

test('destinations: short names, subsets, the port that is said, the only one, or the one asked', () => {
  assert.equal(brief(answer(routed([{ route: to('pay', { subset: 'v2' }) }]), 'GET h/')), 'shop/pay:80/v2');
  const other = convertVirtualService(virtualService({ http: [{ route: to('cart') }] }), context());
  assert.equal(brief(answer(tableOf(other, 81), 'GET h/', { port: 81 })), 'shop/cart:81');
  const said = [{ destination: { host: 'cart.shop.svc.cluster.local', port: { number: 81 } } }];
  assert.equal(brief(answer(routed([{ route: said }]), 'GET h/')), 'shop/cart:81');
  const gone = convertVirtualService(virtualService({ http: [{ route: to('gone') }] }), context());
  assert.equal(brief(answer(tableOf(gone), 'GET h/')), '500 invalid-backend');
  assert.deepEqual(
    gone.problems.map(({ field }) => field),
    ['spec.http[0]'],
  );
});

test('weights need not add up to a hundred, and a single destination ignores its own', () => {
  const split = routed([{ route: [...to('cart', { weight: 1 }), ...to('pay', { weight: 3 })] }]);
  const at = (chance: number): string => brief(answer(split, 'GET h/', {}, undefined, () => chance));
  assert.deepEqual([at(0.2), at(0.26), at(0.99)], ['shop/cart:80', 'shop/pay:80', 'shop/pay:80']);
  assert.equal(brief(answer(routed([{ route: to('cart', { weight: 0 }) }]), 'GET h/')), 'shop/cart:80');
});

test('headers of route, then destination; a host that is set is a rewrite', () => {
  const verdict = forwarded(
    answer(
      routed([
        {
          route: to('cart', { headers: { request: { set: { 'X-D': '2' } }, response: { remove: ['X-R'] } } }),
          headers: {
            request: { set: { 'X-A': '1', ':authority': 'set.org', ':path': '/no' }, add: { Host: 'add.org' } },
          },
        },
      ]),
      'GET h/',
    ),
  );
  assert.deepEqual(
    verdict.requestHeaders.map(({ set }) => set),
    [[{ name: 'x-a', value: '1' }], [{ name: 'x-d', value: '2' }]],
  );
  assert.deepEqual(
    verdict.responseHeaders.map(({ remove }) => remove),
    [['x-r']],
  );
  assert.equal(verdict.authority, 'set.org');
  assert.equal(verdict.path, '/');
});

test('rewrites replace the prefix as characters, the exact path, or what an expression finds', () => {
  const cases: readonly (readonly [
    VsHttpRoute['match'] & object,
    NonNullable<VsHttpRoute['rewrite']>,
    string,
    string,
  ])[] = [
    [[{ uri: { prefix: '/a' } }], { uri: '/b' }, '/abc?q', '/bbc?q'],
    [[{ uri: { prefix: '/a/' } }], { uri: '/' }, '/a/b', '/b'],
    [[{ uri: { prefix: '/a' } }], { uri: '/' }, '/a/b', '/b'],
    [[{ uri: { exact: '/a' } }], { uri: '/b' }, '/a?q', '/b?q'],
    [[{ uri: { regex: '/x.*' } }], { uri: '/b' }, '/xyz?q', '/b?q'],
    [[{}], { uriRegexRewrite: { match: '^/user/(\\w+)', rewrite: '/u/\\1$' } }, '/user/eve/x?q', '/u/eve$/x?q'],
  ];
  for (const [match, rewrite, path, wanted] of cases) {
    const verdict = forwarded(answer(routed([{ match, rewrite, route: to('cart') }]), `GET h${path}`));
    assert.equal(verdict.path, wanted, JSON.stringify(rewrite));
  }
  const host = forwarded(answer(routed([{ rewrite: { authority: 'x.org' }, route: to('cart') }]), 'GET h/'));
  assert.equal(host.authority, 'x.org');
});

test('redirects: 301 by default, the port of the scheme or of the request', () => {
  const cases: readonly (readonly [NonNullable<VsHttpRoute['redirect']>, string])[] = [
    [{ uri: '/new' }, '301 http://h/new?q'],
    [{ authority: 'x.org', redirectCode: 307 }, '307 http://x.org/a/b?q'],
    [{ scheme: 'https' }, '301 https://h/a/b?q'],
    [{ port: 8080 }, '301 http://h:8080/a/b?q'],
    [{ derivePort: 'FROM_REQUEST_PORT' }, '301 http://h:9090/a/b?q'],
    [{ prefixRewrite: '/z' }, '301 http://h/z/b?q'],
  ];
  for (const [redirect, wanted] of cases) {
    assert.equal(brief(answer(routed([{ match: [{ uri: { prefix: '/a' } }], redirect }]), 'GET h:9090/a/b?q')), wanted);
  }
});

test('direct responses, time-outs, retries and mirrors', () => {
  const direct = answer(routed([{ directResponse: { status: 418, body: { string: 'tea' } } }]), 'GET h/');
  assert.equal(direct.kind === 'respond' && Buffer.from(direct.body).toString(), 'tea');
  assert.equal(brief(direct), '418 direct');
  const rule = forwarded(
    answer(
      routed([
        {
          route: to('cart'),
          timeout: '1.5s',
          retries: {
            attempts: 4,
            perTryTimeout: '250ms',
            retryOn: 'gateway-error, 418,reset',
            backoff: '50ms',
            retryIgnorePreviousHosts: false,
            retryRemoteLocalities: true,
          },
          mirror: { host: 'pay' },
          mirrors: [
            { destination: { host: 'pay', subset: 'v2' }, percentage: { value: 50 } },
            { destination: { host: 'pay' }, percentage: { value: 0 } },
          ],
        },
      ]),
      'GET h/',
      {},
      undefined,
      () => 0.4,
    ),
  );
  assert.equal(rule.rule.timeoutMs, 1500);
  assert.deepEqual(rule.rule.retry, {
    attempts: 4,
    perTryTimeoutMs: 250,
    conditions: ['gateway-error', 'reset', 'retriable-status-codes'],
    codes: [418],
    backoffBaseMs: 50,
    backoffMaxMs: 500,
    avoidTried: false,
    remoteLocalities: true,
  });
  assert.deepEqual(
    rule.mirrors.map(({ backend }) => backend?.target),
    [
      { service: PAY, port: 80, subset: '' },
      { service: PAY, port: 80, subset: 'v2' },
    ],
  );
  assert.equal(forwarded(answer(routed([{ route: to('cart'), retries: {} }]), 'GET h/')).rule.retry?.attempts, 0);
});

test('faults are drawn: first the wait, then the end', () => {
  const table = routed([
    {
      route: to('cart'),
      fault: {
        delay: { fixedDelay: '2s', percentage: { value: 50 } },
        abort: { httpStatus: 503, percentage: { value: 10 } },
      },
    },
  ]);
  const fault = (chance: number) => answer(table, 'GET h/', {}, undefined, () => chance).fault;
  assert.deepEqual(fault(0.05), { delayMs: 2000, abortStatus: 503, abortGrpc: undefined });
  assert.deepEqual(fault(0.2), { delayMs: 2000, abortStatus: 0, abortGrpc: undefined });
  assert.equal(fault(0.6), undefined);
  const grpc = routed([{ route: to('cart'), fault: { abort: { grpcStatus: 'UNAVAILABLE' } } }]);
  assert.deepEqual(answer(grpc, 'GET h/', {}, undefined, () => 0.99).fault, {
    delayMs: 0,
    abortStatus: 0,
    abortGrpc: 14,
  });
});

test('CORS: a preflight that does not match goes to the backend unless told to be ignored', () => {
  const ask = (unmatchedPreflights?: string): string =>
    brief(
      answer(
        routed([
          {
            route: to('cart'),
            corsPolicy: {
              allowOrigins: [{ exact: 'https://a' }],
              maxAge: '1h',
              ...(unmatchedPreflights !== undefined && { unmatchedPreflights }),
            },
          },
        ]),
        'OPTIONS h/',
        { headers: { origin: 'https://b', 'access-control-request-method': 'GET' } },
      ),
    );
  assert.deepEqual([ask(), ask('IGNORE')], ['shop/cart:80', '200 preflight']);
});

test('a root delegates: both matches hold, one level deep, and only to what has no hosts', () => {
  const inner = (http: readonly VsHttpRoute[], hosts: readonly string[] = []): VirtualService => ({
    metadata: { name: 'inner', namespace: 'team' },
    spec: { hosts, http },
  });
  const root: VsHttpRoute = { match: [{ uri: { prefix: '/team' } }], delegate: { name: 'inner', namespace: 'team' } };
  const withHost = (host: string): RouteDestination[] => to(`${host}.shop.svc.cluster.local`);
  const table = routed([root, ELSE], inner([{ match: [{ uri: { prefix: '/team/a' } }], route: withHost('cart') }]));
  assert.equal(brief(answer(table, 'GET h/team/a')), 'shop/cart:80');
  assert.equal(brief(answer(table, 'GET h/team/b')), 'shop/pay:80');
  const methods = routed([root, ELSE], inner([{ match: [{ method: { exact: 'PUT' } }], route: withHost('cart') }]));
  assert.equal(brief(answer(methods, 'PUT h/team')), 'shop/cart:80');
  assert.equal(brief(answer(methods, 'PUT h/')), 'shop/pay:80');
  const bad = (...delegates: readonly VirtualService[]): string[] =>
    convertVirtualService(virtualService({ http: [root] }), context(...delegates)).problems.map(
      ({ message }) => message,
    );
  assert.deepEqual(bad(), ['VirtualService team/inner does not exist']);
  assert.deepEqual(bad(inner([], ['x'])), ['VirtualService team/inner has hosts, so it is no delegate']);
  assert.deepEqual(bad(inner([root])), ['a delegate cannot delegate']);
  assert.deepEqual(bad(inner([{ match: [{ uri: { prefix: '/else' } }], route: withHost('cart') }])), [
    'cannot hold together with http[0] of VirtualService shop/vs',
  ]);
});

test('a bad rule answers 500 and is named, its neighbours are obeyed', () => {
  const bad: readonly (readonly [VsHttpRoute, string])[] = [
    [{ match: [{ uri: { regex: '(' } }] }, 'http[0]'],
    [{ retries: { retryOn: 'sometimes' } }, 'http[0]'],
    [{ timeout: 'soon' }, 'http[0]'],
    [{ redirect: { uri: '/' } }, 'http[0]'],
    [{ fault: { abort: { grpcStatus: 'SAD' } } }, 'http[0]'],
    [{ rewrite: { uriRegexRewrite: { match: '(?=x)', rewrite: '' } } }, 'http[0]'],
  ];
  for (const [fields, section] of bad) {
    const match = fields.match ?? [{ uri: { prefix: '/bad' } }];
    const converted = convertVirtualService(
      virtualService({ http: [{ ...fields, match, route: to('cart') }, ELSE] }),
      context(),
    );
    assert.deepEqual(
      converted.problems.map(({ field }) => field),
      [`spec.${section}`],
      JSON.stringify(fields),
    );
    if (fields.match === undefined) assert.equal(brief(answer(tableOf(converted), 'GET h/bad')), '500 no-backend');
    assert.equal(brief(answer(tableOf(converted), 'GET h/good')), 'shop/pay:80');
  }
});

test('tcp and tls: ports, ranges, own server name', () => {
  const { tcp, tls } = tableOf(
    convertVirtualService(
      virtualService({
        tcp: [
          { match: [{ port: 80, destinationSubnets: ['10.0.0.0/8'] }], route: to('pay') },
          { match: [{ port: 9 }], route: to('pay') },
        ],
        tls: [
          { match: [{ sniHosts: ['cart.shop.svc.cluster.local'] }], route: to('pay') },
          { match: [{ sniHosts: ['other.org'] }], route: to('cart') },
        ],
      }),
      context(),
    ),
  );
  assert.deepEqual(
    tcp.map((one) => [one.destinationRanges, one.backends[0]?.target?.service]),
    [[['10.0.0.0/8'], PAY]],
  );
  assert.deepEqual(
    tls.map((one) => one.hosts),
    [['cart.shop.svc.cluster.local']],
  );
});

test('whom it is for: hosts, gateways, exportTo', () => {
  const converted = convertVirtualService(
    virtualService({ hosts: ['cart', '*.Org'], gateways: ['gw', 'mesh'] }),
    context(),
  );
  assert.deepEqual(converted.hosts, ['cart.shop.svc.cluster.local', '*.org']);
  assert.deepEqual(converted.gateways, ['shop/gw', 'mesh']);
  assert.equal(servesHost(converted, 'x.org'), true);
  assert.equal(servesHost(converted, 'org'), false);
  const exported = (exportTo: readonly string[], namespace: string): boolean =>
    isExportedTo(virtualService({ exportTo }), namespace);
  assert.deepEqual(
    [exported([], 'x'), exported(['.'], 'x'), exported(['.'], 'shop'), exported(['x'], 'x'), exported(['*'], 'y')],
    [true, false, true, true, true],
  );
});
