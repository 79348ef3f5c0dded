// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { ADDRESS_TYPE } from '#lib/xds/resource.ts';
import { Channel } from './channel.ts';

const resource = (name: string, version: string) => ({ name, version, bytes: Uint8Array.of(1) });

test('only the newest state of each name reaches the clients’ log', () => {
  let changes = 0;
  const channel = new Channel(ADDRESS_TYPE, () => {
    changes++;
  });
  channel.set(resource('a', '1'));
  channel.set(resource('a', '2'));
  channel.set(resource('b', '1'));
  channel.remove('b');
  equal(changes, 4);
  equal(channel.flush(), true);
  deepEqual(
    [...channel.log.entries()].map(({ name, version }) => [name, version]),
    [['a', '2']],
  );
  equal(channel.log.generation, 1);
});

test('what went and came back between two pushes is no change', () => {
  const channel = new Channel(ADDRESS_TYPE, () => undefined);
  channel.set(resource('a', '1'));
  channel.flush();
  channel.remove('a');
  channel.set(resource('a', '1'));
  equal(channel.flush(), false);
  equal(channel.flush(), false);
});
