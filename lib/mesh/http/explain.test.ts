// SPDX-License-Identifier: Apache-2.0
import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { CART, client, request } from '#lib/testkit/routes.ts';
import { EMPTY_MATCH } from '../policy.ts';
import type { AccessPolicy } from './access-policy.ts';
import { NO_HTTP_CONDITIONS } from './conditions.ts';
import { explainRequest, type RequestWorld } from './explain.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo, type RouteTable } from './route-table.ts';
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

const world = (more: Partial<RequestWorld> = {}): RequestWorld => ({
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
