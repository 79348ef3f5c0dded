// SPDX-License-Identifier: Apache-2.0
// DNS messages against dns-packet, an independent implementation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode, type Packet, RECURSION_DESIRED } from 'dns-packet';
import fc from '#lib/testkit/properties.ts';
import {
  type DnsQuery,
  type DnsRecord,
  encodeAnswer,
  fitReply,
  isReplyTo,
  isTruncated,
  parseQuery,
  Rcode,
  RecordType,
  TCP_MOST,
  UDP_DEFAULT,
  withId,
} from './dns.ts';

function ask(name: string, type: 'A' | 'AAAA' | 'SRV' = 'A', extra: Partial<Packet> = {}): Buffer {
  return encode({ type: 'query', id: 4711, flags: RECURSION_DESIRED, questions: [{ name, type }], ...extra });
}

function query(bytes: Buffer): DnsQuery {
  const got = parseQuery(bytes);
  assert.ok(got.kind === 'query', JSON.stringify(got));
  return got.query;
}

const addresses = (name: string, count: number): DnsRecord[] =>
  Array.from({ length: count }, (_, i) => ({ type: 'A', name, ttl: 30, address: `10.0.${i >> 8}.${i & 255}` }));
const found = (records: DnsRecord[]) => ({ rcode: Rcode.noError, authoritative: true, records });

test('a question is read, its name in lower case', () => {
  const { id, name, type, udpLimit, edns, recursionDesired } = query(ask('Cart.Shop.svc.cluster.local', 'AAAA'));
  assert.deepEqual([id, name, type], [4711, 'cart.shop.svc.cluster.local', RecordType.aaaa]);
  assert.deepEqual([udpLimit, edns, recursionDesired], [512, false, true]);
});

test('EDNS tells how much fits into a datagram, within reason', () => {
  const opt = (size: number): Partial<Packet> => ({
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: size,
        flags: 0,
        ednsVersion: 0,
        extendedRcode: 0,
        flag_do: false,
        options: [],
      },
    ] as never,
  });
  assert.equal(query(ask('a', 'A', opt(1000))).udpLimit, 1000);
  assert.equal(query(ask('a', 'A', opt(100))).udpLimit, 512);
  assert.equal(query(ask('a', 'A', opt(65_000))).udpLimit, 1232);
  const answer = decode(encodeAnswer(query(ask('a', 'A', opt(1000))), found(addresses('a', 1)), 1000));
  assert.equal(answer.additionals?.[0]?.type, 'OPT');
});

test('addresses and aliases are read back by another implementation', () => {
  const asked = query(ask('Cart.shop', 'AAAA'));
  const answer = decode(
    encodeAnswer(
      asked,
      found([
        { type: 'CNAME', name: 'cart.shop', ttl: 30, target: 'cart.shop.svc.cluster.local' },
        { type: 'AAAA', name: 'cart.shop.svc.cluster.local', ttl: 30, address: 'fd00::1' },
        { type: 'AAAA', name: 'cart.shop', ttl: 5, address: 'fd00::2' },
      ]),
      UDP_DEFAULT,
    ),
  );
  assert.deepEqual(
    answer.answers?.map((record) => [
      record.name.toLowerCase(),
      record.type,
      'data' in record && record.data,
      'ttl' in record && record.ttl,
    ]),
    [
      ['cart.shop', 'CNAME', 'cart.shop.svc.cluster.local', 30],
      ['cart.shop.svc.cluster.local', 'AAAA', 'fd00::1', 30],
      ['cart.shop', 'AAAA', 'fd00::2', 5],
    ],
  );
  assert.deepEqual(
    [answer.id, answer.flag_aa, answer.flag_ra, answer.flag_rd, answer.flag_tc],
    [4711, true, true, true, false],
  );
  assert.equal(answer.questions?.[0]?.name, 'Cart.shop'); // as it was asked: some clients vary the case and compare
});

test('what does not fit is cut, and TC says so', () => {
  const asked = query(ask('headless.shop'));
  const bytes = encodeAnswer(asked, found(addresses('headless.shop', 100)), asked.udpLimit);
  assert.ok(bytes.length <= 512);
  const answer = decode(bytes);
  assert.ok(answer.flag_tc);
  assert.equal(answer.answers?.length, Math.floor((512 - 12 - asked.question.length) / 16));
  const whole = decode(encodeAnswer(asked, found(addresses('headless.shop', 100)), TCP_MOST));
  assert.ok(!whole.flag_tc);
  assert.equal(whole.answers?.length, 100);
});

test('records that are none are left out', () => {
  const records: DnsRecord[] = [
    { type: 'A', name: 'a', ttl: 1, address: 'fd00::1' },
    { type: 'A', name: 'a', ttl: 1, address: 'x' },
    { type: 'A', name: `${'a'.repeat(64)}.b`, ttl: 1, address: '1.2.3.4' },
    { type: 'CNAME', name: 'a', ttl: 1, target: 'a..b' },
  ];
  const answer = decode(encodeAnswer(query(ask('a')), found(records), UDP_DEFAULT));
  assert.deepEqual([answer.answers, answer.flag_tc], [[], false]);
});

test('what is no question gets the answer it deserves', () => {
  const code = (bytes: Buffer): number | string => {
    const got = parseQuery(bytes);
    return got.kind === 'reject' ? got.reply[3]! & 15 : got.kind;
  };
  const good = ask('a.b');
  const changed = (at: number, octet: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = octet;
    return bytes;
  };
  assert.equal(code(good.subarray(0, 11)), 'drop');
  assert.equal(code(good.subarray(0, 15)), Rcode.formErr);
  assert.equal(code(changed(2, 0x81)), 'drop'); // a response
  assert.equal(code(changed(2, 0x29)), Rcode.notImp); // opcode UPDATE
  assert.equal(code(changed(5, 2)), Rcode.formErr); // two questions
  assert.equal(code(changed(5, 0)), Rcode.formErr);
  assert.equal(code(changed(7, 1)), Rcode.formErr); // an answer
  assert.equal(code(changed(12, 0xc0)), Rcode.formErr); // a pointer
  assert.equal(code(changed(11, 1)), Rcode.formErr); // a missing additional record
});

test('odd octets in a label match no name', () => {
  const bytes = ask('aXb.svc');
  bytes[14] = 0x2e; // a dot inside the label
  assert.equal(query(bytes).name, 'a\\046b.svc');
});

test('a reply is matched by number and question, not by case', () => {
  const asked = query(ask('a.b'));
  const reply = encode({ type: 'response', id: 7, questions: [{ name: 'A.b', type: 'A' }], answers: [] });
  assert.ok(isReplyTo(reply, 7, asked));
  assert.ok(!isReplyTo(reply, 8, asked));
  assert.ok(!isReplyTo(ask('a.b'), 4711, asked));
  assert.ok(!isReplyTo(encode({ type: 'response', id: 7, questions: [{ name: 'a.c', type: 'A' }] }), 7, asked));
  assert.equal(decode(withId(reply, 9)).id, 9);
});

test('a reply that is too long for the client is cut to its question', () => {
  const asked = query(ask('a.b'));
  const reply = encodeAnswer(asked, found(addresses('a.b', 60)), TCP_MOST);
  assert.equal(fitReply(reply, asked, TCP_MOST), reply);
  const cut = fitReply(reply, asked, 512);
  assert.ok(isTruncated(cut));
  assert.deepEqual(decode(cut).answers, []);
  assert.equal(decode(cut).questions?.[0]?.name, 'a.b');
});

test('any host name survives the question', () => {
  const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), (labels) => {
      assert.equal(query(ask(labels.join('.'))).name, labels.join('.'));
    }),
  );
});
