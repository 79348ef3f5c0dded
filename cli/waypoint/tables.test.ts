// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_REQUEST, BLANK_RULE, backendTo, DEFAULT_RETRY } from '#lib/mesh/http/route-table.ts';
import type { WaypointDump } from './dump.ts';
import { clusterTable, endpointTable, filterTable, listenerTable, routeTable } from './tables.ts';

const WEB = 'shop/web.shop.svc.cluster.local';
const V2 = { service: 'shop/web-v2.shop.svc.cluster.local', port: 80, subset: '' };
const WAYPOINT = { destination: 'shop/w.shop.svc.cluster.local', hboneMtlsPort: 15008 };
const rule = {
  ...BLANK_RULE,
  origin: 'HTTPRoute shop/r',
  section: 'rules[0]',
  retry: DEFAULT_RETRY,
  backends: [backendTo({ service: WEB, port: 80, subset: '' }, 95), backendTo(V2, 5)],
};
const DUMP: WaypointDump = {
  services: [
    {
      name: 'web',
      namespace: 'shop',
      hostname: 'web.shop.svc.cluster.local',
      vips: ['/10.96.0.1'],
      waypoint: WAYPOINT,
      ports: { '80': 8080, '81': 8081 },
      endpoints: { u1: { workloadUid: 'u1', port: { '80': 8080, '81': 8081 }, status: 'Unhealthy' } },
    },
    { name: 'else', namespace: 'shop', hostname: 'else.shop.svc.cluster.local', ports: { '80': 80 } },
  ],
  workloads: [{ uid: 'u1', workloadIps: ['10.0.0.1'], protocol: 'HBONE' }],
  RouteTable: [
    {
      name: `${WEB}:80`,
      http: [
        {
          clientNamespace: '',
          exclusiveHosts: false,
          hosts: [{ hosts: ['*'], entries: [{ rule: 0, match: ANY_REQUEST }] }],
          rules: [rule],
        },
      ],
      tls: [],
      tcp: [],
    },
  ],
  AccessPolicy: [
    { key: 'shop/open', action: 'allow', dryRun: false, provider: '', services: [], rules: [] },
    { key: 'shop/shut', action: 'deny', dryRun: true, provider: '', services: [WEB], rules: [] },
    { key: 'shop/other', action: 'deny', dryRun: false, provider: '', services: ['shop/x'], rules: [] },
  ],
  Waypoint: [
    {
      name: 'shop/w',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE', hostname: '', routeTable: '', tls: undefined }],
      pathNormalisation: 'base',
      defaultRetry: undefined,
      headers: undefined,
      providers: [],
      forwardClientIdentity: false,
      trustedProxies: 0,
      trustDomainAliases: [],
    },
  ],
  listening: { mesh: 15008 },
};

const lines = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/ {2,}/));

test('routes are shown in their order, with route and destinations', () => {
  match(
    routeTable(DUMP),
    /web.shop.svc.cluster.local:80 +all clients +\* +every request +HTTPRoute shop\/r, rules\[0\] +95× .*web.shop.*:80, 5× .*web-v2/,
  );
});

test('clusters are the waypoint’s own services and those its routes lead to, none else', () => {
  deepEqual(
    lines(clusterTable(DUMP, {})).map((row) => row.slice(0, 4)),
    [
      ['web-v2.shop.svc.cluster.local', '80', '-', 'outbound'],
      ['web.shop.svc.cluster.local', '80', '-', 'inbound-vip'],
      ['web.shop.svc.cluster.local', '81', '-', 'inbound-vip'],
    ],
  );
  equal(lines(clusterTable(DUMP, { port: '81' })).length, 1);
});

test('endpoints carry the port they are dialled at and their health', () => {
  deepEqual(lines(endpointTable(DUMP, { fqdn: 'web.shop.svc.cluster.local', port: '81' })), [
    ['10.0.0.1:8081', 'UNHEALTHY', 'HBONE', `${WEB}:81`],
  ]);
});

test('listeners lead to routes, or to a service’s own endpoints', () => {
  const rows = lines(listenerTable(DUMP));
  deepEqual(rows[0], ['mesh', '-', 'HBONE on port 15008', 'open']);
  deepEqual(rows[1]?.slice(2), ['address 10.96.0.1, port 80', `routes ${WEB}:80`]);
  equal(rows[2]?.[3], 'its own endpoints');
});

test('filters stand in the order in which requests pass them, those of other services left out', () => {
  deepEqual(
    lines(filterTable(DUMP)).map((row) => row.slice(1)),
    [
      ['access, DENY, dry run', 'AuthorizationPolicy shop/shut'],
      ['access, ALLOW', 'AuthorizationPolicy shop/open'],
      ['retry', 'HTTPRoute shop/r, rules[0]'],
    ],
  );
});
