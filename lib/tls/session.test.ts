// SPDX-License-Identifier: Apache-2.0
// Two of our own sessions joined in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createTestCa, SERVER_AUTH } from '#lib/testkit/certificates.ts';
import { CART, createTlsMaterial, ORDERS } from '#lib/testkit/tls-material.ts';
import {
  bytesAt,
  carry,
  connect,
  createPair,
  deliver,
  pump,
  readAll,
  type TlsPair,
  writeAll,
} from '#lib/testkit/tls-pair.ts';
import { parseClientHello } from '#lib/wire/client-hello.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { TlsContext } from './context.ts';
import { Cell } from './openssl.ts';
import { fingerprint } from './peer.ts';
import { LARGE_RING_BYTES, SMALL_RING_BYTES } from './ring.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from './session.ts';

const { ca, cart, orders, context } = await createTlsMaterial();
const cell = new Cell(64 * 1024);

test('two sessions agree, prove their identities and carry bytes both ways', () => {
  using pair = createPair(context(cart), context(orders));
  assert.equal(pair.client.peer().ok, false, 'no identity before the handshake');
  connect(pair);
  const seen = pair.server.peer();
  assert.ok(seen.ok);
  assert.deepEqual(
    [seen.value.uri, seen.value.trustDomain, seen.value.namespace, seen.value.serviceAccount],
    [CART, 'cluster.local', 'shop', 'cart'],
  );
  const back = pair.client.peer();
  assert.ok(back.ok);
  assert.equal(back.value.uri, ORDERS);
  assert.equal(writeAll(pair.client, Buffer.from('ping')), 4);
  pump(pair);
  assert.equal(readAll(pair.server).toString(), 'ping');
  writeAll(pair.server, Buffer.from('pong'));
  pump(pair);
  assert.equal(readAll(pair.client).toString(), 'pong');
});

test('a chain with an intermediate is presented whole and verified', async () => {
  const below = await (await ca.intermediate()).issue(CART);
  using pair = createPair(context(below), context(orders));
  connect(pair);
  const seen = pair.server.peer();
  assert.ok(seen.ok);
  assert.equal(seen.value.uri, CART);
});

test('writeRoom is kept to the byte, and a write beyond it takes nothing', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  const room = pair.client.writeRoom();
  assert.ok(room >= 16 * 1024);
  assert.equal(pair.client.write(cell.pointer, room + 1), 0);
  // Having been refused, it grew.
  assert.ok(pair.client.writeRoom() > room);
  assert.equal(pair.client.shrinkIfIdle(), true);
  assert.equal(pair.client.write(cell.pointer, room), room);
  assert.equal(pair.client.writeRoom(), 0);
  pump(pair);
  assert.equal(readAll(pair.server).length, room);
});

test('close_notify ends the other side cleanly, after what was written before it', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  writeAll(pair.client, Buffer.from('last words'));
  pair.client.closeNotify();
  pump(pair);
  assert.equal(readAll(pair.server).toString(), 'last words');
  assert.equal(pair.server.read(cell.pointer, 10), TLS_ENDED);
  assert.equal(pair.server.truncated, false);
});

test('a socket that ends without close_notify is an end that says it is truncated', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  writeAll(pair.client, Buffer.from('cut'));
  pump(pair);
  pair.server.eof();
  assert.equal(readAll(pair.server).toString(), 'cut');
  assert.equal(pair.server.read(cell.pointer, 10), TLS_ENDED);
  assert.equal(pair.server.truncated, true);
});

test('damaged ciphertext fails the session with a reason and no plaintext', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  writeAll(pair.client, Buffer.alloc(100, 1));
  carry(pair.client, pair.server, 60);
  deliver(pair.server, Buffer.alloc(62, 0x55));
  assert.equal(pair.server.read(cell.pointer, 100), TLS_FAILED);
  assert.match(pair.server.failure, /bad record mac/);
  assert.equal(pair.server.write(cell.pointer, 1), TLS_FAILED);
  assert.ok(pair.server.outboundPending() > 0, 'the alert waits for the socket');
});

test('trap 14: rings grow with traffic, shrink when idle, and the session lives on', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  assert.equal(pair.client.ringBytes, SMALL_RING_BYTES);
  const block = Buffer.alloc(256 * 1024, 7);
  assert.equal(transfer(pair, block), block.length);
  assert.deepEqual([pair.client.ringBytes, pair.server.ringBytes], [LARGE_RING_BYTES, LARGE_RING_BYTES]);
  for (let i = 0; i < 20; i++) {
    assert.ok(pair.client.shrinkIfIdle() && pair.server.shrinkIfIdle());
    assert.equal(pair.client.ringBytes, SMALL_RING_BYTES);
    writeAll(pair.client, Buffer.from(`alive ${i}`));
    assert.equal(pair.client.shrinkIfIdle(), true, 'small already');
    pump(pair);
    assert.equal(readAll(pair.server).toString(), `alive ${i}`);
    writeAll(pair.client, block.subarray(0, 16_000));
    pump(pair);
    readAll(pair.server);
  }
});

/** Frees the test's own buffers, so that only what sessions hold is measured. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('trap 14: an idle session costs under 100 kB, also after a burst', () => {
  const contexts = [context(cart), context(orders)] as const;
  const pairs = Array.from({ length: 150 }, () => ({
    client: new TlsSession(contexts[0], 'client'),
    server: new TlsSession(contexts[1], 'server'),
    [Symbol.dispose]() {},
  }));
  const burst = Buffer.alloc(64 * 1024);
  try {
    const warm = pairs.slice(0, 50);
    const settle = (some: typeof pairs): void => {
      for (const pair of some) {
        connect(pair);
        transfer(pair, burst);
        pair.client.shrinkIfIdle();
        pair.server.shrinkIfIdle();
      }
    };
    settle(warm);
    collect();
    const before = process.memoryUsage().rss;
    settle(pairs.slice(50));
    collect();
    const perSession = (process.memoryUsage().rss - before) / 200;
    assert.ok(perSession < 100_000, `${Math.round(perSession)} bytes`);
  } finally {
    for (const { client, server } of pairs) {
      client.dispose();
      server.dispose();
    }
    for (const one of contexts) one.dispose();
  }
});

test('trap 11: a refused client learns it with its first read, not from its handshake', async () => {
  const serverOnly = await ca.issue(CART, { extendedKeyUsage: [SERVER_AUTH] });
  using pair = createPair(context(serverOnly), context(orders));
  assert.throws(() => connect(pair), /unsuitable certificate purpose/);
  assert.equal(pair.client.state, 'open');
  assert.equal(pair.client.read(cell.pointer, 10), TLS_FAILED);
  assert.match(pair.client.failure, /alert/);
});

test('trap 9: a new bundle is a new context; sessions of the old one keep theirs', async () => {
  const stranger = await createTestCa('other root');
  const old = context(orders);
  using pair = createPair(context(cart), old);
  connect(pair);
  const seen = pair.server.peer();
  assert.ok(seen.ok);
  old.dispose();
  assert.throws(() => new TlsSession(old, 'server'), /used after its end/);
  const strict = TlsContext.create({
    certificateChainPem: orders.chainPem,
    privateKeyPem: orders.keyPem,
    rootsPem: stranger.rootPem,
    alpn: 'h2',
  });
  using refused = createPair(context(cart), strict);
  assert.throws(() => connect(refused), /certificate verify failed/);
  writeAll(pair.client, Buffer.from('still here'));
  pump(pair);
  assert.equal(readAll(pair.server).toString(), 'still here');
  assert.equal(seen.value.anchor, fingerprint(new Uint8Array(ca.root.rawData)), 'names the root to re-judge by');
});

test('bad material is refused with its reason', async () => {
  const foreign = await ca.issue(CART);
  assert.throws(() => context({ chainPem: cart.chainPem, keyPem: foreign.keyPem }), /key values mismatch/);
  assert.throws(() => context({ chainPem: '', keyPem: cart.keyPem }), /no CERTIFICATE block/);
  assert.throws(() => context({ chainPem: cart.chainPem, keyPem: '' }), /no PRIVATE KEY block/);
  assert.throws(() => context(cart, { rootsPem: '' }), /trust bundle/);
  assert.throws(() => context(cart, { groups: 'nonsense' }), /groups_list failed/);
});

// Writes, carries and reads until all of `bytes` has arrived; returns how much did.
function transfer(pair: TlsPair, bytes: Buffer): number {
  let written = 0;
  let arrived = 0;
  for (let round = 0; round < 1000 && arrived < bytes.length; round++) {
    written += writeAll(pair.client, bytes.subarray(written));
    carry(pair.client, pair.server);
    arrived += readAll(pair.server).length;
  }
  return arrived;
}

test('certificates are sent as they are, and not compressed for each handshake', async () => {
  const long = await ca.issue(`spiffe://cluster.local/ns/${'n'.repeat(1000)}/sa/s`);
  using pair = createPair(context(long), context(long));
  pair.client.handshake();
  carry(pair.client, pair.server);
  pair.server.handshake();
  const fromServer = carry(pair.server, pair.client);
  pair.client.handshake();
  const fromClient = carry(pair.client, pair.server);
  assert.equal(pair.server.handshake(), 'done', pair.server.failure);
  const [leaf] = pemBlocks(long.chainPem, 'CERTIFICATE');
  assert.ok(leaf !== undefined && leaf.length > 1000);
  assert.ok(fromServer > leaf.length && fromClient > leaf.length, `${leaf.length}: ${fromServer}, ${fromClient}`);
});

test('a client’s first flight names no server and offers h2 alone', () => {
  const client = new TlsSession(context(cart), 'client');
  client.handshake();
  const length = client.outboundPending();
  const read = parseClientHello(Buffer.from(bytesAt(client.outboundPointer, length)));
  assert.ok(read.kind === 'hello');
  assert.deepEqual(read.hello, { serverName: '', alpn: ['h2'], versions: [0x0304] });
  client.dispose();
});
