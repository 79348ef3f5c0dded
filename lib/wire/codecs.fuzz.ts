// SPDX-License-Identifier: Apache-2.0
// Fuzz targets of the small codecs: whatever comes, they answer with a value.
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { formatBaggage, parseBaggage } from './baggage.ts';
import { parseClientHello } from './client-hello.ts';
import { encodeAnswer, fitReply, isReplyTo, parseQuery } from './dns.ts';
import { encodeQuestion, readLookup } from './dns-lookup.ts';
import { isFieldValue } from './h2/headers.ts';
import { formatAddress, parseAuthority, parseForwarded, parseTraceparent } from './hbone.ts';
import { encodeProxyV2, parseProxyV2 } from './proxy-v2.ts';

const corpus = (name: string): string => join(import.meta.dirname, 'testdata', name);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

fuzz({
  name: 'a PROXY header that is accepted encodes to an equal one',
  corpus: corpus('proxy-v2'),
  seeds: [
    encodeProxyV2({
      addresses: { source: { ip: '10.0.0.7', port: 1 }, destination: { ip: '10.0.0.1', port: 80 } },
      tlvs: [{ type: 0xd0, value: Buffer.from('spiffe://a/ns/b/sa/c') }],
    }),
    encodeProxyV2({ addresses: { source: { ip: 'fd00::7', port: 1 }, destination: { ip: '::', port: 80 } }, tlvs: [] }),
    encodeProxyV2({ addresses: null, tlvs: [] }),
  ],
  run(input) {
    const got = parseProxyV2(input);
    if (got.kind !== 'header') return got.kind === 'invalid' ? got.reason : got.kind;
    const encoded = encodeProxyV2(got.header);
    const again = parseProxyV2(encoded);
    assert.ok(again.kind === 'header' && encodeProxyV2(again.header).equals(encoded));
    return `${got.header.addresses === null} ${got.header.tlvs.length}`;
  },
});

// A TLS 1.3 hello for `cart.shop` with h2, cut down to the extensions that matter.
const HELLO = hex(
  '1603010055 01000051 0303' +
    'ab'.repeat(32) +
    '00 0002 1301 0100 0026 0000000e000c0000096361727' +
    '42e73686f70 00100005000302 6832 002b0003020304 00170000',
);

assert.equal(parseClientHello(HELLO).kind, 'hello');
fuzz({
  name: 'any bytes are a ClientHello, none, or not yet one; a beginning decides nothing else than the whole',
  corpus: corpus('client-hello'),
  seeds: [HELLO],
  run(input) {
    const whole = parseClientHello(input);
    const half = parseClientHello(input.subarray(0, input.length >> 1));
    if (half.kind !== 'incomplete') assert.deepEqual(half, whole);
    return whole.kind === 'hello'
      ? `${whole.hello.serverName === ''} ${whole.hello.alpn.length} ${whole.hello.versions.length}`
      : `${whole.kind} ${whole.kind === 'invalid' ? whole.reason : ''}`;
  },
});

fuzz({
  name: 'any datagram is a question, gets an error or is dropped; answers stay within the limit',
  corpus: corpus('dns'),
  seeds: [
    encode({ type: 'query', id: 1, questions: [{ name: 'cart.shop.svc.cluster.local', type: 'A' }] }),
    hex('0001 0100 0001 0000 0000 0001 0161 0162 00 001c 0001 00 0029 1000 00000000 0000'),
  ],
  run(input) {
    const got = parseQuery(input);
    if (got.kind === 'reject') assert.equal(got.reply.length, 12);
    if (got.kind !== 'query') return got.kind === 'reject' ? `rcode ${got.reply[3]! & 15}` : got.kind;
    const { query } = got;
    const records = Array.from({ length: 60 }, (_, i) => ({
      type: 'A' as const,
      name: query.name,
      ttl: 1,
      address: `10.0.0.${i}`,
    }));
    const answer = encodeAnswer(query, { rcode: 0, authoritative: true, records }, query.udpLimit);
    assert.ok(answer.length <= query.udpLimit);
    assert.ok(isReplyTo(answer, query.id, query));
    decode(answer);
    decode(fitReply(answer, query, 100));
    return `${query.edns} ${query.udpLimit > 512} ${query.name.split('.').length}`;
  },
});

fuzz({
  name: 'any reply of a resolver is addresses of the asked family, or none',
  corpus: corpus('dns'),
  seeds: [
    encodeQuestion(1, 'db.example', 'A')!,
    encode({
      type: 'response',
      id: 1,
      questions: [{ name: 'db.example', type: 'A' }],
      answers: [
        { type: 'CNAME', name: 'db.example', ttl: 5, data: 'a.example' },
        { type: 'A', name: 'a.example', ttl: 9, data: '192.0.2.1' },
      ],
    }),
  ],
  run(input) {
    for (const type of ['A', 'AAAA'] as const) {
      const got = readLookup(input, type);
      if (got.kind !== 'addresses') continue;
      assert.ok(got.addresses.length > 0 && got.addresses.every((ip) => isIP(ip) === (type === 'A' ? 4 : 6)));
      return type;
    }
    return readLookup(input, 'A').kind;
  },
});

fuzz({
  name: 'header texts of any octets are read or refused, and never become another header',
  corpus: corpus('header-text'),
  seeds: [
    'k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart',
    'for="[fd00::1]:80";host=cart.shop',
    'for=1.2.3.4;host="a\\"b", for=5.6.7.8',
    '00-11111111111111111111111111111111-2222222222222222-01',
    '[fd00::1]:15008',
    'cart.shop.svc.cluster.local:8080',
  ].map((text) => Buffer.from(text)),
  run(input) {
    const text = input.toString('latin1');
    const formatted = formatBaggage(parseBaggage([text]));
    assert.ok(isFieldValue(formatted));
    const forwarded = parseForwarded(text);
    const trace = parseTraceparent(text);
    const authority = parseAuthority(text);
    if (authority?.kind === 'address')
      assert.deepEqual(parseAuthority(formatAddress(authority.ip, authority.port)), authority);
    if (authority?.kind === 'hostname') assert.match(authority.hostname, /^[a-z0-9_*.-]+$/);
    return `${authority?.kind} ${formatted.length} ${forwarded === undefined} ${trace === undefined}`;
  },
});
