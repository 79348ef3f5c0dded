// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { matchingRule } from '#lib/mesh/match.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { AuthorizationSchema } from '#lib/proto/gen/authorization_pb.ts';
import { AddressSchema } from '#lib/proto/gen/workload_pb.ts';
import { ip, service, workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import { encodeService, encodeWorkload } from './encode.ts';
import { decodeAddress, WdsState } from './state.ts';

const name = fc.constantFrom('a', 'b', 'shop', 'cart-1');

type AddressInit = MessageInitShape<typeof AddressSchema>;

function addressBytes(init: AddressInit): Uint8Array {
  return toBinary(AddressSchema, create(AddressSchema, init));
}

const REJECTED: readonly [string, AddressInit, RegExp][] = [
  ['neither workload nor service', {}, /neither/],
  [
    'an address of 5 bytes',
    { type: { case: 'workload', value: { uid: 'u', addresses: [new Uint8Array(5)] } } },
    /addresses\[0\].*5 bytes/,
  ],
  ['a gateway without destination', { type: { case: 'workload', value: { uid: 'u', waypoint: {} } } }, /waypoint/],
  [
    'a weighted waypoint without destination',
    { type: { case: 'service', value: { hostname: 'h', weightedWaypoints: [{ weight: 1 }] } } },
    /weighted_waypoints\[0\]/,
  ],
  ['the legacy tunnel', { type: { case: 'workload', value: { uid: 'u', tunnelProtocol: 2 } } }, /tunnel_protocol/],
  [
    'an unknown enum value',
    { type: { case: 'service', value: { hostname: 'h', ipFamilies: 9 as 0 } } },
    /ip_families: value 9/,
  ],
  [
    'an unspecified scope',
    { type: { case: 'service', value: { hostname: 'h', loadBalancing: { routingPreference: [0] } } } },
    /routing_preference\[0\]/,
  ],
  [
    'a prefix that is too long',
    { type: { case: 'service', value: { hostname: 'h', addresses: [{ address: new Uint8Array(4), length: 33 }] } } },
    /prefix length 33/,
  ],
  [
    'a service key without namespace',
    { type: { case: 'workload', value: { uid: 'u', services: { nohost: {} } } } },
    /services\[nohost\]/,
  ],
];

for (const [what, init, reason] of REJECTED) {
  test(`${what} is refused, and its neighbours are applied`, () => {
    const state = new WdsState();
    const good = encodeWorkload(workload({ name: 'good', ips: ['10.0.0.1'] }));
    const rejected = state.applyAddresses([{ name: 'bad', bytes: addressBytes(init) }, good], []);
    assert.deepEqual(
      rejected.map((one) => one.name),
      ['bad'],
    );
    assert.match(rejected[0]!.reason, reason);
    assert.equal(state.mesh.workloadByAddress('', ip('10.0.0.1'))?.name, 'good');
  });
}

test('bytes that are no message are refused', () => {
  const rejected = new WdsState().applyAddresses([{ name: 'x', bytes: Uint8Array.of(0xff, 0xff) }], []);
  assert.match(rejected[0]!.reason, /cannot be decoded/);
});

test('an unknown visibility is public', () => {
  const init: AddressInit = { type: { case: 'service', value: { hostname: 'h', visibility: 7 as 0 } } };
  const decoded = decodeAddress(addressBytes(init));
  assert.ok(decoded.ok && decoded.value.kind === 'service');
  assert.equal(decoded.value.service.visibility, 'public');
});

test('an endpoint waits for its service, and outlives a new version of it', () => {
  const state = new WdsState();
  const key = 'default/s.default.svc.cluster.local';
  state.applyAddresses([encodeWorkload(workload({ ips: ['10.0.0.1'], serves: { [key]: { 80: 80 } } }))], []);
  assert.deepEqual(
    [...state.mesh.staged()].map(([service]) => service),
    [key],
  );
  state.applyAddresses([encodeService(service({ name: 's', ports: { 80: 80 } }))], []);
  assert.equal(state.mesh.endpoints(state.mesh.service(key)!).length, 1);
  assert.deepEqual([...state.mesh.staged()], []);
  state.applyAddresses([encodeService(service({ name: 's', ports: { 81: 81 } }))], []);
  assert.equal(state.mesh.endpoints(state.mesh.service(key)!).length, 1);
});

test('a removed name is a workload, or a service by its form', () => {
  const state = new WdsState();
  const pod = encodeWorkload(workload({ name: 'p', ips: ['10.0.0.1'] }));
  const svc = encodeService(service({ name: 's', vips: ['10.0.0.2'] }));
  state.applyAddresses([pod, svc], []);
  state.applyAddresses([], [pod.name, svc.name, 'never/known']);
  assert.equal(state.mesh.workloadByAddress('', ip('10.0.0.1')), undefined);
  assert.equal(state.mesh.serviceByAddress('', ip('10.0.0.2'), ''), undefined);
});

test('an entry that cannot be read never weakens a policy', () => {
  const flow = { sourceIp: ip('10.0.0.1'), identity: undefined, destinationIp: ip('10.0.0.2'), destinationPort: 80 };
  const bad = { sourceIps: [{ address: new Uint8Array(3), length: 8 }] };
  const badNot = { notSourceIps: [{ address: new Uint8Array(3), length: 8 }], destinationPorts: [80] };
  for (const match of [bad, badNot]) {
    for (const [action, matches] of [
      [0, false],
      [1, true],
    ] as const) {
      const init = { name: 'p', namespace: 'n', action, groups: [{ rules: [{ matches: [match] }] }] };
      const state = new WdsState();
      const rejected = state.applyAuthorizations(
        [{ name: 'n/p', bytes: toBinary(AuthorizationSchema, create(AuthorizationSchema, init)) }],
        [],
      );
      assert.match(rejected[0]!.reason, /groups\[0\]\.rules\[0\]\.matches\[0\]/);
      assert.equal(matchingRule(state.mesh.policy('n/p')!, flow) >= 0, matches);
    }
  }
});

test('random updates and removals leave what a fresh mesh would hold', () => {
  const step = fc.oneof(
    fc.tuple(name, fc.constantFrom('10.0.0.1', '10.0.0.2'), fc.constantFrom('s', 't')).map(([pod, at, svc]) => ({
      pod: workload({ name: pod, ips: [at], serves: { [`default/${svc}.default.svc.cluster.local`]: { 80: 80 } } }),
    })),
    fc.tuple(fc.constantFrom('s', 't'), fc.constantFrom('10.9.0.1', '10.9.0.0/24')).map(([svc, vip]) => ({
      svc: service({ name: svc, vips: [vip], ports: { 80: 80 } }),
    })),
    name.map((pod) => ({ removed: workload({ name: pod }).uid })),
    fc.constantFrom('s', 't').map((svc) => ({ removed: service({ name: svc }).key })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const live = new WdsState();
      const final = new Map<string, Workload | Service>();
      for (const one of steps) {
        if ('pod' in one) {
          live.applyAddresses([encodeWorkload(one.pod)], []);
          final.set(one.pod.uid, one.pod);
        } else if ('svc' in one) {
          live.applyAddresses([encodeService(one.svc)], []);
          final.set(one.svc.key, one.svc);
        } else {
          live.applyAddresses([], [one.removed]);
          final.delete(one.removed);
        }
      }
      const fresh = new WdsState();
      for (const value of final.values()) {
        fresh.applyAddresses(['uid' in value ? encodeWorkload(value) : encodeService(value)], []);
      }
      for (const at of ['10.0.0.1', '10.0.0.2']) {
        const owner = live.mesh.workloadByAddress('', ip(at));
        assert.equal(owner === undefined, fresh.mesh.workloadByAddress('', ip(at)) === undefined);
        if (owner !== undefined) assert.ok(final.has(owner.uid));
      }
      for (const svc of fresh.mesh.services()) {
        const got = live.mesh.endpoints(live.mesh.service(svc.key)!).map((one) => one.workload.uid);
        const want = fresh.mesh.endpoints(svc).map((one) => one.workload.uid);
        assert.deepEqual(got.sort(), want.sort());
      }
      assert.equal([...live.mesh.services()].length, [...fresh.mesh.services()].length);
      const asked = ip('10.9.0.1');
      assert.equal(
        live.mesh.serviceByAddress('', asked, 'x') === undefined,
        fresh.mesh.serviceByAddress('', asked, 'x') === undefined,
      );
    }),
  );
});
