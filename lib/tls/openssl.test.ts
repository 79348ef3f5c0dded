// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { createTlsMaterial } from '#lib/testkit/tls-material.ts';
import { connect, createPair, pump, readAll, writeAll } from '#lib/testkit/tls-pair.ts';
import { alpnSelectCallback, opensslVersion } from './openssl.ts';
import { TlsSession } from './session.ts';

const { ca, cart, orders, context } = await createTlsMaterial();

test('trap 26: the OpenSSL that the numbers in this table were read from is the one that runs', () => {
  assert.match(opensslVersion(), /^OpenSSL 3\.5\./);
});

test("trap 6: half of all handshakes fail and no good session notices its neighbour's errors", async () => {
  const stranger = await (await createTestCa('other root')).issue('spiffe://cluster.local/ns/x/sa/y');
  using good = createPair(context(cart), context(orders));
  connect(good);
  const bad = context(stranger);
  const server = context(orders);
  for (let i = 0; i < 100; i++) {
    // Left as the neighbour would leave it: failed in the middle of this session's traffic.
    const client = new TlsSession(bad, 'client');
    const refusing = new TlsSession(server, 'server');
    const pair = { client, server: refusing, [Symbol.dispose]() {} };
    writeAll(good.client, Buffer.from(`message ${i}`));
    pump(good);
    assert.throws(() => connect(pair), /certificate verify failed/);
    assert.equal(readAll(good.server).toString(), `message ${i}`);
    assert.equal(good.server.failure, '');
    using next = createPair(context(cart), context(orders));
    connect(next);
    client.dispose();
    refusing.dispose();
  }
  bad.dispose();
  server.dispose();
});

test('trap 7: the one native callback outlives 1,000 handshakes with forced garbage collections', () => {
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  const client = context(cart, { groups: 'X25519' });
  const server = context(orders, { groups: 'X25519' });
  const callback = alpnSelectCallback();
  for (let i = 0; i < 1000; i++) {
    const pair = {
      client: new TlsSession(client, 'client'),
      server: new TlsSession(server, 'server'),
      [Symbol.dispose]() {},
    };
    connect(pair);
    pair.client.dispose();
    pair.server.dispose();
    if (i % 20 === 0) gc();
  }
  assert.equal(alpnSelectCallback(), callback);
  client.dispose();
  server.dispose();
});

test('trap 9: a bundle of two roots accepts peers of both, each anchored in its own', async () => {
  const second = await createTestCa('second root');
  const roots = `${ca.rootPem}\n${second.rootPem}`;
  const theirs = await second.issue('spiffe://cluster.local/ns/shop/sa/cart');
  using pair = createPair(context(theirs, { rootsPem: roots }), context(orders, { rootsPem: roots }));
  connect(pair);
  const [client, server] = [pair.server.peer(), pair.client.peer()];
  assert.ok(client.ok && server.ok);
  assert.notEqual(client.value.anchor, server.value.anchor);
});
