// SPDX-License-Identifier: Apache-2.0
//
// Addresses given out to hosts: one of each family, kept for good, never two hosts with one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceEntry } from '#lib/testkit/model.ts';
import fc from '#lib/testkit/properties.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { keyOf } from '../object/object.ts';
import { AddressAllocator, type Allocation, inOrder } from './allocator.ts';

interface Wish {
  readonly hosts?: readonly string[];
  readonly resolution?: string;
  readonly addresses?: readonly string[];
  readonly status?: readonly Allocation[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Day of creation. */
  readonly day?: number;
}

function entry(name: string, wish: Wish = {}): ServiceEntry {
  const { addresses = [], day = 1, hosts = [`${name}.test`], labels = {}, resolution = 'DNS', status } = wish;
  return serviceEntry(name, { hosts, resolution, addresses }, 'shop', {
    labels,
    creationTimestamp: `2026-01-0${day}T00:00:00Z`,
    ...(status !== undefined && { status: { addresses: status } }),
  });
}

function allocate(...entries: readonly ServiceEntry[]): AddressAllocator {
  const allocator = new AddressAllocator();
  for (const [key, one] of inOrder(entries)) allocator.update(key, one);
  return allocator;
}

const values = (allocator: AddressAllocator, name: string): string[] =>
  allocator.wanted(`shop/${name}`).map(({ host, value }) => `${host} ${value}`);

test('each host gets the next address of both families', () => {
  const allocator = allocate(entry('a', { hosts: ['a.test', 'b.test'] }), entry('c', { day: 2 }));
  assert.deepEqual(values(allocator, 'a'), [
    'a.test 240.240.0.1',
    'a.test 2001:2::1',
    'b.test 240.240.0.2',
    'b.test 2001:2::2',
  ]);
  assert.deepEqual(values(allocator, 'c'), ['c.test 240.240.0.3', 'c.test 2001:2::3']);
});

test('who declares addresses, does not resolve, opts out, or has a wildcard that is not resolved gets none', () => {
  const allocator = allocate(
    entry('declared', { addresses: ['192.0.2.1'] }),
    entry('passthrough', { resolution: 'NONE' }),
    entry('out', { labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } }),
    entry('wild', { hosts: ['*.test'], resolution: 'STATIC' }),
    entry('resolved', { hosts: ['*.other.test'], resolution: 'DYNAMIC_DNS' }),
  );
  const count = (name: string): number => values(allocator, name).length;
  assert.deepEqual(['declared', 'passthrough', 'out', 'wild', 'resolved'].map(count), [0, 0, 0, 0, 2]);
});

test('an address in the status is kept, also while the watch has not brought our own write yet', () => {
  const told = [
    { host: 'a.test', value: '240.240.7.7' },
    { host: 'a.test', value: '2001:2::9' },
  ];
  const allocator = allocate(entry('a', { status: told }), entry('b', { day: 2 }));
  assert.deepEqual(values(allocator, 'a'), ['a.test 240.240.7.7', 'a.test 2001:2::9']);
  const first = values(allocator, 'b');
  allocator.update('shop/b', entry('b', { day: 2, labels: { changed: 'yes' } }));
  assert.deepEqual(values(allocator, 'b'), first);
});

test('of two that claim one address the older keeps it, and the other is given another', () => {
  const told = [{ host: 'old.test', value: '240.240.0.1' }];
  const allocator = allocate(entry('young', { day: 2 }));
  assert.deepEqual(values(allocator, 'young')[0], 'young.test 240.240.0.1');
  const touched = allocator.update('shop/old', entry('old', { status: told }));
  assert.ok(touched.has('shop/young'));
  assert.equal(values(allocator, 'old')[0], 'old.test 240.240.0.1');
  assert.notEqual(values(allocator, 'young')[0], 'young.test 240.240.0.1');
});

test('an address that somebody declares is taken from whom it was given', () => {
  const allocator = allocate(entry('a'));
  const touched = allocator.update('shop/b', entry('b', { addresses: ['240.240.0.1'], day: 2 }));
  assert.ok(touched.has('shop/a'));
  assert.deepEqual(values(allocator, 'a'), ['a.test 240.240.0.2', 'a.test 2001:2::1']);
});

test('an entry that may have no more addresses has none, and they are free again', () => {
  const allocator = allocate(entry('a'));
  allocator.update('shop/a', entry('a', { resolution: 'NONE' }));
  assert.deepEqual(values(allocator, 'a'), []);
});

test('after any history no two hosts have one address, and nobody has one that is declared', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const address = fc.integer({ min: 1, max: 5 }).map((n) => `240.240.0.${n}`);
  const step = fc.record({
    name,
    gone: fc.boolean(),
    day: fc.integer({ min: 1, max: 9 }),
    addresses: fc.array(address, { maxLength: 1 }),
    told: fc.array(address, { maxLength: 2 }),
    resolution: fc.constantFrom('DNS', 'STATIC', 'NONE'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const allocator = new AddressAllocator();
      const last = new Map<string, ServiceEntry>();
      for (const { addresses, day, gone, name: n, resolution, told } of steps) {
        const status = told.map((value) => ({ host: `${n}.test`, value }));
        const one = entry(n, { addresses, day, resolution, status });
        allocator.update(keyOf(one), gone ? undefined : one);
        if (gone) last.delete(keyOf(one));
        else last.set(keyOf(one), one);
      }
      const given = [...last.keys()].flatMap((key) => allocator.wanted(key).map(({ value }) => value));
      assert.equal(new Set(given).size, given.length, 'no address twice');
      const declared = [...last.values()].flatMap((one) => one.spec?.addresses ?? []);
      for (const value of declared) assert.ok(!given.includes(value), `${value} is declared`);
      for (const [key, one] of last) {
        const wants = one.spec?.resolution !== 'NONE' && (one.spec?.addresses ?? []).length === 0;
        assert.equal(allocator.wanted(key).length, wants ? 2 : 0);
      }
    }),
    { numRuns: 300 },
  );
});
