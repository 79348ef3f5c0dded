// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { ADDRESS_TYPE } from '#lib/xds/resource.ts';
import { Channel } from './channel.ts';

const OPTIONS = { typeUrl: ADDRESS_TYPE, trigger: 'test' };
const resource = (name: string, version: string) => ({ name, version, bytes: Uint8Array.of(1) });

test('only the newest state of each name reaches the clients’ log', () => {
  let changes = 0;
  const channel = new Channel(OPTIONS, () => {
    changes++;
  });
  channel.set(resource('a', '1'));
  channel.set(resource('a', '2'));
  channel.set(resource('b', '1'));
  channel.remove('b');
  equal(changes, 4);
  equal(channel.flush(), true);
  deepEqual(
    [...channel.log().entries()].map(({ name, version }) => [name, version]),
    [['a', '2']],
  );
  equal(channel.log().generation, 1);
});

test('what went and came back between two pushes is no change', () => {
  const channel = new Channel(OPTIONS, () => undefined);
  channel.set(resource('a', '1'));
  channel.flush();
  channel.remove('a');
  channel.set(resource('a', '1'));
  equal(channel.flush(), false);
  equal(channel.flush(), false);
});

test('of a scoped type each client sees its own scope, and one without a scope nothing', () => {
  const scopes: Record<string, string> = { 'spiffe://a': 'shop/waypoint', 'spiffe://b': 'bank/waypoint' };
  const channel = new Channel({ ...OPTIONS, scopeOf: ({ identity }) => scopes[identity] }, () => undefined);
  channel.set(resource('a', '1'), 'shop/waypoint');
  channel.flush();
  const peer = (identity: string) => ({ id: 'waypoint~1.1.1.1~w.shop~x', metadata: {}, identity });
  const shop = channel.view(peer('spiffe://a'));
  const bank = channel.view(peer('spiffe://b'));
  deepEqual(shop?.resolve('a'), ['a']);
  deepEqual(bank?.resolve('a'), []);
  equal(channel.view(peer('spiffe://c')), undefined);
  const before = bank?.log.generation;
  channel.set(resource('a', '2'), 'shop/waypoint');
  equal(channel.flush(), true);
  equal(bank?.log.generation, before);
  notEqual(shop?.log.generation, 1);
});
