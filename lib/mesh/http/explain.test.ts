// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { mesh, workload } from '#lib/testkit/mesh.ts';
import { CART, client, request } from '#lib/testkit/routes.ts';
import { parseIp } from '../ip.ts';
import { EMPTY_MATCH } from '../policy.ts';
import type { AccessPolicy } from './access-policy.ts';
import { NO_HTTP_CONDITIONS } from './conditions.ts';
import { explainRequest, explainStream, type RequestWorld } from './explain.ts';
import type { EndpointWorld } from './explain-endpoint.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo, type RouteTable, type Target, type TcpRoute } from './route-table.ts';
import { DEFAULT_UPSTREAM, type UpstreamTls } from './traffic-policy.ts';
import { BLANK_PROVIDER, type Provider } from './waypoint.ts';

const TARGET = { service: 'shop/pay.shop.svc.cluster.local', port: 80, subset: '' };
const TABLE: RouteTable = {
  name: `${CART}:80`,
  http: [
    {
      clientNamespace: '',
      exclusiveHosts: false,
      hosts: [
        {
          hosts: ['*'],
          entries: [{ rule: 0, match: { ...ANY_REQUEST, path: { kind: 'exact', value: '/pay', ignoreCase: false } } }],
        },
      ],
      rules: [{ ...BLANK_RULE, origin: 'HTTPRoute shop/r', section: 'rules[0]', backends: [backendTo(TARGET)] }],
    },
  ],
  tls: [],
  tcp: [],
};

const NO_WRITES: AccessPolicy = {
  key: 'shop/read-only',
  action: 'deny',
  dryRun: false,
  provider: '',
  services: [CART],
  rules: [
    {
      clauses: [
        {
          matches: [
            {
              ...EMPTY_MATCH,
              http: { ...NO_HTTP_CONDITIONS, methods: { any: [{ kind: 'exact', value: 'POST' }], none: [] } },
            },
          ],
        },
      ],
    },
  ],
};

const PAY = 'shop/pay.shop.svc.cluster.local';
const MESH = mesh({
  workloads: [
    { name: 'pay-1', namespace: 'shop', ips: ['10.1.0.1'], node: 'n1', serves: { [PAY]: { '80': 8080 } } },
    {
      name: 'cart-1',
      namespace: 'shop',
      ips: ['10.1.0.2'],
      node: 'n2',
      serves: { [CART]: { '80': 80, '6379': 6379 } },
    },
  ],
  services: [
    { name: 'pay', namespace: 'shop', vips: ['10.96.0.1'], ports: { '80': 8080 } },
    { name: 'cart', namespace: 'shop', vips: ['10.96.0.2'], ports: { '80': 80, '6379': 6379 } },
    { name: 'empty', namespace: 'shop', vips: ['10.96.0.3'], ports: { '80': 80 } },
  ],
});
const UPSTREAM: EndpointWorld = {
  service: (key) => MESH.service(key),
  endpoints: (service) => MESH.endpoints(service),
  labels: () => ({}),
  self: workload({ name: 'waypoint', namespace: 'shop', ips: ['10.1.0.9'] }),
};

const world = (more: Partial<RequestWorld> = {}): RequestWorld => ({
  upstream: UPSTREAM,
  ...{ service: CART, port: 80, table: TABLE, policies: [], providers: [], trafficPolicy: () => undefined },
  ...more,
});

test('a request that a route takes is told with the route and its rule', () => {
  const told = explainRequest(world(), request('GET cart/pay'));
  equal(told.allowed, true);
  equal(told.routing?.text, 'to shop/pay.shop.svc.cluster.local:80 by HTTPRoute shop/r, rules[0]');
  ok((told.routing?.lines.length ?? 0) > 0);
});

test('a request that no route takes is told as 404, one without routes goes to its own endpoints', () => {
  match(explainRequest(world(), request('GET cart/else')).routing?.text ?? '', /^answered 404: no-route/);
  const own = explainRequest(world({ table: undefined }), request('GET cart/else'));
  match(own.routing?.text ?? '', /^to shop\/cart.shop.svc.cluster.local:80 by Service/);
});

test('a denied request names policy, rule and clause, and is routed nowhere', () => {
  const told = explainRequest(world({ policies: [NO_WRITES] }), request('POST cart/pay', { identity: client('shop') }));
  equal(told.allowed, false);
  equal(told.routing, undefined);
  match(told.access.text, /explicitly denied by AuthorizationPolicy shop\/read-only, rule 1: .*POST/);
  equal(explainRequest(world({ policies: [NO_WRITES] }), request('GET cart/pay')).allowed, true);
});

test('a CUSTOM policy names whom traffic asks and what comes of no answer; nobody is asked for an explanation', () => {
  const custom: AccessPolicy = { ...NO_WRITES, key: 'shop/ask', action: 'custom', provider: 'opa' };
  const opa: Provider = { ...BLANK_PROVIDER, name: 'opa', kind: 'ext-authz-grpc', target: TARGET };
  const asking = world({ policies: [custom], providers: [opa] });
  const told = explainRequest(asking, request('POST cart/pay'));
  equal(told.allowed, true);
  equal(told.access.text, 'no policy stands in the way, if opa allows it');
  match(
    told.access.lines.join('\n'),
    /CUSTOM by opa, by gRPC: would be asked at shop\/pay[^:]*:80; without an answer in 600000 ms it is answered 403/,
  );
  equal(explainRequest(asking, request('GET cart/pay')).access.text, 'no policy stands in the way');
  const nobody = explainRequest({ ...asking, providers: [] }, request('POST cart/pay'));
  equal(nobody.allowed, false);
  match(nobody.access.text, /^explicitly denied by AuthorizationPolicy shop\/ask, rule 1/);
  match(nobody.access.lines.join('\n'), /is no provider that can be asked, so it denies/);
});

test('where endpoints are reached by TLS, it is told whom the server must prove to be, or why connections fail', () => {
  const none = new Uint8Array(0);
  const tls: UpstreamTls = {
    mode: 'simple',
    sni: 'pay.example',
    subjectAltNames: [],
    insecureSkipVerify: false,
    caCertificates: none,
    clientCertificate: none,
    privateKey: none,
    crl: none,
    systemRoots: true,
    invalid: '',
  };
  const lines = (more: Partial<UpstreamTls>): string => {
    const upstreams = [{ ...DEFAULT_UPSTREAM, tls: { ...tls, ...more } }];
    const policy = { name: TARGET.service, origin: 'DestinationRule shop/pay', subsets: [], upstreams };
    const told = explainRequest(world({ trafficPolicy: () => policy }), request('GET cart/pay'));
    return told.routing?.lines.at(-1) ?? '';
  };
  match(
    lines({}),
    /^DestinationRule shop\/pay: TLS to endpoints of shop\/pay[^:]*:80: simple, server name pay.example: .* system’s authorities to be pay.example$/,
  );
  match(lines({ subjectAltNames: ['a', 'b'], systemRoots: false }), /the authorities it names to be a or b$/);
  match(lines({ invalid: 'Secret shop/x does not exist' }), /connections fail: Secret shop\/x does not exist$/);
});

test('the endpoint that would be chosen is told, with where it is and how it is reached', () => {
  const { allowed, endpoint } = explainRequest(world(), request('GET cart/pay'));
  equal(allowed, true);
  equal(endpoint?.text, 'to shop/pay-1 at 10.1.0.1:8080, by HBONE');
  match(endpoint?.lines[0] ?? '', /^Service shop\/pay, port 80: endpoints by .*: 1 of 1 may be chosen/);
});

test('a service, a port or an endpoint that is not there fails the request, and what is missing is named', () => {
  for (const [service, port, text] of [
    ['shop/nosuch.shop.svc.cluster.local', 80, /^nowhere: there is no service shop\/nosuch\./],
    [CART, 9999, /^nowhere: Service shop\/cart has no port 9999$/],
    ['shop/empty.shop.svc.cluster.local', 80, /^nowhere: Service shop\/empty has no endpoint$/],
  ] as const) {
    const { access, allowed, endpoint } = explainRequest(
      world({ service, port, table: undefined }),
      request('GET cart/'),
    );
    deepEqual([allowed, access.verdict['allow']], [false, true]);
    match(endpoint?.text ?? '', text);
    match(endpoint?.lines.at(-1) ?? '', /would change if/);
  }
});

test('a subset that the traffic policy has not is named', () => {
  const table = { ...TABLE, http: [], tcp: [tcpTo({ service: PAY, port: 80, subset: 'v2' })] };
  const { endpoint } = explainStream(world({ table, port: 6379 }), STREAM);
  equal(endpoint?.text, `nowhere: ${PAY} has no subset v2`);
});

const STREAM = {
  flow: {
    sourceIp: parseIp('10.1.0.7')!,
    identity: client('shop'),
    destinationIp: parseIp('10.96.0.2')!,
    destinationPort: 6379,
  },
  serverName: '',
};
const tcpTo = (target: Target): TcpRoute => ({
  origin: 'TCPRoute shop/t',
  clientNamespace: '',
  port: 0,
  sourceNamespace: '',
  destinationRanges: [],
  backends: [backendTo(target)],
});

test('a stream is judged by what policies ask of connections, and goes to its own endpoints or where a route says', () => {
  const own = explainStream(world({ table: undefined, port: 6379 }), STREAM);
  deepEqual([own.allowed, own.stream], [true, true]);
  equal(own.endpoint?.text, 'to shop/cart-1 at 10.1.0.2:6379, by HBONE');
  const table = { ...TABLE, http: [], tcp: [tcpTo({ service: PAY, port: 80, subset: '' })] };
  const routed = explainStream(world({ table, port: 6379 }), STREAM);
  equal(routed.routing?.text, `to ${PAY}:80 by TCPRoute shop/t`);
  match(routed.endpoint?.text ?? '', /^to shop\/pay-1/);
  // A denial of methods denies streams, which have none.
  const denied = explainStream(world({ policies: [NO_WRITES], port: 6379 }), STREAM);
  equal(denied.allowed, false);
  match(denied.access.text, /^explicitly denied by AuthorizationPolicy shop\/read-only, rule 1/);
});

test('where tokens are asked for, that is told, and that an explanation does not look at them', () => {
  const { access, allowed } = explainRequest(world({ tokens: ['shop/tokens'] }), request('GET cart/pay'));
  equal(allowed, true);
  match(access.lines[0] ?? '', /^RequestAuthentication shop\/tokens: tokens: not looked at here; .* is answered 401/);
});
