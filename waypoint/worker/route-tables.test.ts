// SPDX-License-Identifier: Apache-2.0
// Route tables as a data-plane process follows them, small ones and those of thousands of routes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resumable } from '#lib/loop/loop.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import type { CompiledTable } from '#lib/mesh/http/compiled-table.ts';
import { route } from '#lib/mesh/http/route.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo, type RouteTable } from '#lib/mesh/http/route-table.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { request } from '#lib/testkit/routes.ts';
import { tableKey } from '../source/l7-key.ts';
import { encodeTable } from '../source/table-record.ts';
import { RouteTables } from './route-tables.ts';

const NAME = 'shop/gateway/http';
const MANY = 500;

/** Each route to a service of its own; their names end in `suffix`. */
function tableOf(count: number, suffix: string): RouteTable {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const rules = numbers.map((i) => ({
    ...BLANK_RULE,
    backends: [backendTo({ service: `shop/s${i}-${suffix}`, port: 80, subset: '' })],
  }));
  const entries = numbers.map((rule) => {
    const path = { kind: 'segments', value: `/s${rule}`, ignoreCase: false } as const;
    return { rule, match: { ...ANY_REQUEST, path } };
  });
  const group = { clientNamespace: '', exclusiveHosts: false, rules, hosts: [{ hosts: ['*'], entries }] };
  return { name: NAME, http: [group], tls: [], tcp: [] };
}

class Fixture {
  readonly store = new StoreWriter({ maxRecords: 16, dataBytes: 1 << 24 });
  readonly waiting = new Set<Resumable>();
  readonly tables: RouteTables;

  constructor() {
    const loop = { again: (target: Resumable) => void this.waiting.add(target) };
    // A clock by which each step takes a tenth of a millisecond.
    let now = 0;
    this.tables = new RouteTables(StoreReader.open(this.store.fd), loop, () => (now += 0.1));
  }

  put(table: RouteTable): void {
    this.store.put(tableKey(NAME), encodeTable(table));
    this.store.commit();
  }

  get table(): CompiledTable | undefined {
    return this.tables.of(NAME, undefined);
  }

  /** Where a request for that path goes; '' for nowhere. */
  service(path: string): string {
    const { table } = this;
    assert.ok(table);
    const verdict = route(table, request(`GET h${path}`), () => 0, NO_PROOF);
    return verdict.kind === 'forward' ? verdict.target.service : '';
  }

  /** Turns of the loop until nothing is left to do. */
  turns(): number {
    let turns = 0;
    for (; this.waiting.size > 0; turns++) {
      const now = [...this.waiting];
      this.waiting.clear();
      for (const one of now) one.resume();
    }
    return turns;
  }
}

test('a small table is exchanged with the next request', () => {
  const fixture = new Fixture();
  assert.equal(fixture.table, undefined);
  fixture.put(tableOf(3, 'a'));
  assert.equal(fixture.service('/s2/x'), 'shop/s2-a');
  fixture.put(tableOf(3, 'b'));
  assert.equal(fixture.service('/s2/x'), 'shop/s2-b');
  assert.equal(fixture.waiting.size, 0);
});

test('the first large table is there when it is asked for; its successor is made between turns and the first serves until then', () => {
  const fixture = new Fixture();
  fixture.put(tableOf(MANY, 'a'));
  assert.equal(fixture.service('/s499'), 'shop/s499-a');
  const { replaced } = fixture.tables;
  fixture.put(tableOf(MANY, 'b'));
  fixture.tables.follow();
  assert.equal(fixture.service('/s499'), 'shop/s499-a');
  assert.equal(fixture.tables.replaced, replaced);
  assert.ok(fixture.turns() > 1, 'not all of it in one turn');
  assert.equal(fixture.service('/s499'), 'shop/s499-b');
  assert.equal(fixture.service('/s0'), 'shop/s0-b');
  assert.notEqual(fixture.tables.replaced, replaced, 'doors are told');
});

test('a table that changes while its successor is made becomes what it was last', () => {
  const fixture = new Fixture();
  fixture.put(tableOf(MANY, 'a'));
  assert.equal(fixture.service('/s7'), 'shop/s7-a');
  fixture.put(tableOf(MANY, 'b'));
  fixture.tables.follow();
  for (const one of [...fixture.waiting]) one.resume();
  fixture.put(tableOf(MANY, 'c'));
  fixture.tables.follow();
  fixture.turns();
  assert.equal(fixture.service('/s7'), 'shop/s7-c');
});

test('a table that is taken away while its successor is made is gone at once, and stays away', () => {
  const fixture = new Fixture();
  fixture.put(tableOf(MANY, 'a'));
  assert.ok(fixture.table);
  fixture.put(tableOf(MANY, 'b'));
  fixture.tables.follow();
  fixture.store.delete(tableKey(NAME));
  fixture.store.commit();
  assert.equal(fixture.table, undefined);
  fixture.turns();
  assert.equal(fixture.table, undefined);
});

test('the same routes once more are not compiled again', () => {
  const fixture = new Fixture();
  fixture.put(tableOf(MANY, 'a'));
  const before = fixture.table;
  fixture.put(tableOf(MANY, 'a'));
  fixture.tables.follow();
  assert.equal(fixture.waiting.size, 0);
  assert.equal(fixture.table, before);
});

test('tables whose record is gone, and names that never had one, are forgotten, however many come and go', () => {
  const { store, tables } = new Fixture();
  const look = (name: string): CompiledTable | undefined => tables.of(name, undefined);
  const few = encodeTable(tableOf(1, 'few'));
  store.put(tableKey(NAME), few);
  for (let n = 0; n < 5000; n++) {
    const name = `shop/s${n}:80`;
    store.put(tableKey(name), few);
    store.commit();
    assert.ok(look(name));
    assert.equal(look(`shop/nobody:${n}`), undefined);
    store.delete(tableKey(name));
    store.commit();
    if (n % 1000 === 0) for (let round = 0; round < 8; round++) tables.forget();
    assert.ok(look(NAME));
    assert.ok(tables.size <= 2010, `${tables.size} tables are known`);
  }
  for (let round = 0; round < 8; round++) tables.forget();
  assert.equal(tables.size, 1);
  assert.ok(look(NAME));
});

test('a large table whose record is gone is not followed any more', () => {
  const fixture = new Fixture();
  fixture.put(tableOf(MANY, 'one'));
  assert.ok(fixture.table);
  fixture.store.delete(tableKey(NAME));
  fixture.store.commit();
  fixture.tables.forget();
  assert.equal(fixture.tables.size, 0);
  fixture.put(tableOf(MANY, 'two'));
  fixture.tables.follow();
  assert.equal(fixture.waiting.size, 0);
  assert.equal(fixture.service('/s3'), 'shop/s3-two');
});
