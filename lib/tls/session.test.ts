// SPDX-License-Identifier: Apache-2.0
// Two of our own sessions joined in memory.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createTestCa, type TestCa, type TestIdentity } from '#lib/testkit/certificates.ts';
import { connect, createPair, pump, readAll, writeAll } from '#lib/testkit/tls-pair.ts';
import { TlsContext } from './context.ts';

const CLIENT = 'spiffe://cluster.local/ns/shop/sa/cart';
const SERVER = 'spiffe://cluster.local/ns/shop/sa/orders';
let ca: TestCa;
let client: TestIdentity;
let server: TestIdentity;

before(async () => {
  ca = await createTestCa();
  client = await ca.issue(CLIENT);
  server = await ca.issue(SERVER);
});

const context = (identity: TestIdentity, extra: { rekeyRecords?: number; rootsPem?: string } = {}): TlsContext =>
  TlsContext.create({
    certificateChainPem: identity.chainPem,
    privateKeyPem: identity.keyPem,
    rootsPem: ca.rootPem,
    alpn: 'h2',
    ...extra,
  });

test('two sessions agree, prove their identities and carry bytes both ways', () => {
  using pair = createPair(context(client), context(server));
  connect(pair);
  const seen = pair.server.peer();
  assert.ok(seen.ok);
  assert.equal(seen.value.uri, CLIENT);
  assert.equal(seen.value.trustDomain, 'cluster.local');
  const back = pair.client.peer();
  assert.ok(back.ok);
  assert.equal(back.value.uri, SERVER);
  assert.equal(writeAll(pair.client, Buffer.from('ping')), 4);
  pump(pair);
  assert.equal(readAll(pair.server).toString(), 'ping');
  writeAll(pair.server, Buffer.from('pong'));
  pump(pair);
  assert.equal(readAll(pair.client).toString(), 'pong');
});
