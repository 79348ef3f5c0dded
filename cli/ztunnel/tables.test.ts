// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Dump } from './dump.ts';
import { certificateTable, connectionTable, heldTable, policyTable, serviceTable, workloadTable } from './tables.ts';

const DUMP: Dump = {
  workloads: [
    { name: 'pay-1', namespace: 'shop', workloadIps: ['10.1.1.3', 'fd00::3'], node: 'n2', protocol: 'HBONE' },
    {
      name: 'cart-1',
      namespace: 'shop',
      workloadIps: ['10.1.1.2'],
      node: 'n1',
      protocol: 'TCP',
      waypoint: { destination: 'shop/waypoint.shop.svc.cluster.local' },
    },
  ],
  services: [
    { name: 'waypoint', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', vips: ['/10.96.0.9'] },
    {
      name: 'cart',
      namespace: 'shop',
      hostname: 'cart.shop.svc.cluster.local',
      vips: ['net1/10.96.0.1', 'net1/fd00:96::1'],
      waypoint: { destination: '/10.96.0.9' },
      endpoints: { a: { status: 'Healthy' }, b: { status: 'Unhealthy' } },
    },
  ],
  policies: [{ name: 'deny', namespace: 'shop', action: 'Deny', scope: 'WorkloadSelector' }],
  certificates: [
    {
      identity: 'spiffe://cluster.local/ns/shop/sa/cart',
      state: 'Available',
      certChain: [{ serialNumber: '255', validFrom: '2026-01-01T00:00:00Z', expirationTime: '2026-01-02T00:00:00Z' }],
      rootCerts: [{ serialNumber: '1', validFrom: '2025-01-01T00:00:00Z', expirationTime: '2035-01-01T00:00:00Z' }],
    },
    { identity: 'spiffe://cluster.local/ns/shop/sa/pay', state: 'Initializing' },
  ],
  workloadState: {
    u1: {
      info: { name: 'cart-1', namespace: 'shop' },
      connections: {
        inbound: [{ src: '10.1.1.3:40000', originalDst: null, actualDst: '10.1.1.2:8080', protocol: 'HBONE' }],
        outbound: [
          { src: '10.1.1.2:50000', originalDst: '10.96.0.1:80', actualDst: '10.9.9.9:15008', protocol: 'HBONE' },
        ],
      },
    },
  },
};

test('workloads: one line for each address, waypoints by name', () => {
  equal(
    workloadTable(DUMP.workloads!, DUMP.services!),
    [
      'NAMESPACE  POD NAME  ADDRESS   NODE  WAYPOINT  PROTOCOL',
      'shop       cart-1    10.1.1.2  n1    waypoint  TCP',
      'shop       pay-1     10.1.1.3  n2    None      HBONE',
      'shop       pay-1     fd00::3   n2    None      HBONE',
      '',
    ].join('\n'),
  );
});

test('services: healthy endpoints of all, waypoints by virtual address too', () => {
  equal(
    serviceTable(DUMP.services!),
    [
      'NAMESPACE  SERVICE NAME  SERVICE VIP           WAYPOINT  ENDPOINTS',
      'shop       cart          10.96.0.1,fd00:96::1  waypoint  1/2',
      'shop       waypoint      10.96.0.9             None      0/0',
      '',
    ].join('\n'),
  );
});

test('policies', () => {
  equal(
    policyTable(DUMP.policies!),
    'NAMESPACE  POLICY NAME  ACTION  SCOPE\nshop       deny         Deny    WorkloadSelector\n',
  );
});

test('certificates: leaf and root, serial in hexadecimal, valid by the clock; one that is not there yet', () => {
  const lines = certificateTable(DUMP.certificates!, Date.parse('2026-01-01T12:00:00Z')).split('\n');
  equal(
    lines[1]?.replace(/ +/g, ' '),
    'spiffe://cluster.local/ns/shop/sa/cart Leaf Available true ff 2026-01-02T00:00:00Z 2026-01-01T00:00:00Z',
  );
  equal(
    lines[2]?.replace(/ +/g, ' '),
    'spiffe://cluster.local/ns/shop/sa/cart Root Available true 1 2035-01-01T00:00:00Z 2025-01-01T00:00:00Z',
  );
  equal(lines[3]?.replace(/ +/g, ' '), 'spiffe://cluster.local/ns/shop/sa/pay NA Initializing false NA NA NA');
  const later = certificateTable(DUMP.certificates!, Date.parse('2026-02-01T00:00:00Z'));
  equal(later.includes('Leaf  Available     false'), true);
});

test('connections: addresses become names unless they are wanted raw', () => {
  const rows = (raw: boolean, direction?: string) =>
    connectionTable(DUMP.workloadState!, DUMP, { raw, direction })
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/ +/g, ' '));
  equal(rows(false)[0], 'cart-1.shop Inbound cart-1.shop:8080 pay-1.shop:40000 HBONE');
  equal(rows(false)[1], 'cart-1.shop Outbound cart-1.shop:50000 10.9.9.9:15008 cart.shop.svc.cluster.local:80 HBONE');
  equal(rows(true, 'inbound').join(), 'cart-1.shop Inbound 10.1.1.2:8080 10.1.1.3:40000 HBONE');
});

test('connections: addresses whose tunnels have to wait are named with the reason, when there are any', () => {
  equal(heldTable(DUMP), '');
  const held = {
    address: '10.1.1.3',
    waiting: 8,
    since: '2026-01-01T00:00:00Z',
    offences: 12,
    reason: 'too many resets',
  };
  const lines = heldTable({ ...DUMP, heldAddresses: [held] })
    .trim()
    .split('\n');
  equal(lines.length, 2);
  equal(lines[1]!.replace(/ +/g, ' '), '10.1.1.3 pay-1.shop 8 2026-01-01T00:00:00Z 12 too many resets');
});
