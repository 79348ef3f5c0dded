// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_REQUEST, BLANK_RULE, backendTo, type RouteTable } from '#lib/mesh/http/route-table.ts';
import { ROUTE_TABLE } from '#lib/model/l7/resource.ts';
import { mesh, service, workload } from '#lib/testkit/mesh.ts';
import { explain } from './explain.ts';

const WEB = 'shop/web.shop.svc.cluster.local';
const TABLE: RouteTable = {
  name: `${WEB}:80`,
  http: [
    {
      clientNamespace: '',
      exclusiveHosts: false,
      hosts: [
        {
          hosts: ['*'],
          entries: [
            {
              rule: 0,
              match: {
                ...ANY_REQUEST,
                headers: [{ name: 'x-version', value: { kind: 'exact', value: 'v2', ignoreCase: false } }],
              },
            },
          ],
        },
      ],
      rules: [
        {
          ...BLANK_RULE,
          origin: 'HTTPRoute shop/r',
          section: 'rules[0]',
          backends: [backendTo({ service: `${WEB}-v2`, port: 80, subset: '' })],
        },
      ],
    },
  ],
  tls: [],
  tcp: [],
};

const WORLD = {
  mesh: mesh({ services: [{ name: 'web', namespace: 'shop', vips: ['10.96.0.1'], ports: { '80': 8080 } }] }),
  l7: {
    settings: undefined,
    values: (typeUrl: string): ReadonlyMap<string, unknown> =>
      typeUrl === ROUTE_TABLE.typeUrl ? new Map([[TABLE.name, TABLE]]) : new Map(),
  },
  network: '',
  self: () => workload({ name: 'waypoint', namespace: 'shop', ips: ['10.0.0.8'] }),
  held: () =>
    ['10.0.0.8', '10.0.0.9'].map((address) => ({ address, waiting: 1, since: 'now', offences: 9, reason: 'too much' })),
};

const ask = (fields: Record<string, string>) => {
  const identity = 'spiffe://cluster.local/ns/shop/sa/cart';
  return explain(new URLSearchParams({ identity, source: '10.0.0.9', to: '10.96.0.1:80', ...fields }), WORLD);
};

test('a request is judged by the routes of the service whose address the tunnel names', () => {
  const taken = ask({ header: 'X-Version: v2' });
  equal(taken.ok && taken.value.service, `${WEB}:80`);
  match(taken.ok ? (taken.value.routing?.text ?? '') : '', /web.shop.svc.cluster.local-v2:80 by HTTPRoute shop\/r/);
  const lost = ask({});
  match(lost.ok ? (lost.value.routing?.text ?? '') : '', /answered 404/);
});

test('a source whose tunnels have to wait here is told', () => {
  const held = (source: string) => {
    const answer = ask({ source });
    return answer.ok ? answer.value.held.map(({ address }) => address) : undefined;
  };
  deepEqual(held('10.0.0.9'), ['10.0.0.9']);
  deepEqual(held('10.0.0.7'), []);
});

test('a port without routes leads to the service’s own endpoints, a host name is understood too', () => {
  const own = ask({ to: 'web.shop.svc.cluster.local:81' });
  match(own.ok ? (own.value.routing?.text ?? '') : '', /^to shop\/web.shop.svc.cluster.local:81 by Service/);
});

test('a question that makes no sense names the field', () => {
  for (const [field, text] of [
    ['to', 'nowhere'],
    ['to', '10.9.9.9:80'],
    ['path', '/a%00'],
  ] as const) {
    const answer = ask({ [field]: text });
    ok(!answer.ok, `${field} ${text}`);
    equal(answer.problems[0]?.field, field);
  }
});

test('a port that is said to carry TCP is explained as a stream', () => {
  const cache = { name: 'cache', namespace: 'shop', vips: ['10.96.0.2'], ports: { '6379': 6379 } };
  const plain = service(cache);
  const known = mesh({ services: [] });
  known.putService({ ...plain, ports: plain.ports.map((port) => ({ ...port, appProtocol: 'tcp' as const })) });
  const query = new URLSearchParams({ identity: '', source: '10.0.0.9', to: '10.96.0.2:6379' });
  const answer = explain(query, { ...WORLD, mesh: known });
  ok(answer.ok);
  equal(answer.value.stream, true);
  equal(answer.value.allowed, false);
  equal(answer.value.endpoint?.text, 'nowhere: Service shop/cache has no endpoint');
});
