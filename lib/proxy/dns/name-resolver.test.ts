// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, decode, encode } from 'dns-packet';
import type { DnsForwarder, ForwardDone } from './forwarder.ts';
import { NameResolver } from './name-resolver.ts';

/** A resolver whose upstream and clock are the test's. */
function rig(random: () => number = () => 0, failureLifeMs = 0) {
  const loop = { now: 0 };
  const open: { readonly name: string; readonly message: Buffer; readonly done: ForwardDone }[] = [];
  const forwarder = {
    ask: (message: Buffer, _query: unknown, _whole: boolean, done: ForwardDone) => {
      open.push({ name: decode(message).questions?.[0]?.name ?? '', message, done });
    },
  };
  const resolver = new NameResolver(loop as never, forwarder as unknown as DnsForwarder, random, failureLifeMs);
  const told: string[] = [];
  const lookup = (name: string, family: 4 | 6 = 4) =>
    resolver.lookup(name, family, {
      onAddress: (ip) => told.push(ip.text),
      onNoAddress: (reason) => told.push(reason),
    });
  /** Answers everything that is open; undefined is silence. */
  const answer = (answers: readonly Answer[] | undefined, rcode = 0) => {
    for (const { message, done } of open.splice(0)) {
      const questions = decode(message).questions ?? [];
      const own = (answers ?? []).filter(({ type }) => type === questions[0]?.type);
      const reply = encode({ type: 'response', id: 0, questions, answers: own });
      reply[3] = (reply[3]! & 0xf0) | rcode;
      done(answers === undefined ? undefined : reply);
    }
  };
  return { loop, open, told, lookup, answer };
}

const A: Answer = { type: 'A', name: 'db.example', ttl: 30, data: '192.0.2.1' };
const AAAA: Answer = { type: 'AAAA', name: 'db.example', ttl: 60, data: '2001:db8::1' };

test('many who want one name are one question, and the shortest life counts for all', () => {
  const { loop, open, told, lookup, answer } = rig();
  lookup('db.example');
  lookup('db.example', 6);
  assert.equal(open.length, 2);
  answer([A, AAAA]);
  assert.deepEqual(told.splice(0), ['192.0.2.1', '2001:db8::1']);
  loop.now = 29_999;
  assert.equal(lookup('db.example'), null);
  assert.deepEqual([told.splice(0), open.length], [['192.0.2.1'], 0]);
  loop.now = 30_000;
  lookup('db.example');
  assert.equal(open.length, 2);
});

test('an address of the family asked for comes first, another is better than none', () => {
  const { told, lookup, answer } = rig();
  lookup('db.example', 6);
  answer([A]);
  assert.deepEqual(told, ['192.0.2.1']);
});

test('among several addresses chance decides', () => {
  const draws = [0, 0.5, 0.99];
  const { told, lookup, answer } = rig(() => draws.shift() ?? 0);
  lookup('db.example');
  answer([A, { ...A, data: '192.0.2.2' } as Answer]);
  lookup('db.example');
  lookup('db.example');
  assert.deepEqual(told, ['192.0.2.1', '192.0.2.2', '192.0.2.2']);
});

test('a missing name is remembered for a moment; what could not be found out is asked again at once', () => {
  const { loop, open, told, lookup, answer } = rig();
  lookup('gone.example');
  answer([], 3);
  lookup('gone.example');
  assert.deepEqual(told.splice(0), Array(2).fill('host name gone.example has no address'));
  loop.now = 5_000;
  lookup('gone.example');
  answer(undefined);
  assert.deepEqual(told.splice(0), ['no resolver could tell the address of gone.example']);
  lookup('gone.example');
  assert.equal(open.length, 2);
});

test('what could not be found out may be left alone for a while', () => {
  const { loop, open, told, lookup, answer } = rig(() => 0, 1_000);
  lookup('mute.example');
  answer(undefined);
  lookup('mute.example');
  assert.deepEqual([told.length, open.length], [2, 0]);
  loop.now = 1_000;
  lookup('mute.example');
  assert.equal(open.length, 2);
});

test('who gave up is not told, and what is no name is not asked', () => {
  const { open, told, lookup, answer } = rig();
  lookup('db.example')?.cancel();
  answer([A]);
  assert.deepEqual(told, []);
  lookup('a..b');
  assert.deepEqual([told, open.length], [['host name a..b has no address'], 0]);
});

test('four thousand names are kept, and the oldest goes', () => {
  const { open, lookup, answer } = rig();
  for (let i = 0; i <= 4096; i++) {
    lookup(`n${i}.example`);
    answer([{ ...A, name: `n${i}.example` } as Answer]);
  }
  lookup('n4096.example');
  lookup('n1.example');
  assert.equal(open.length, 0);
  lookup('n0.example');
  assert.equal(open.length, 2);
});
