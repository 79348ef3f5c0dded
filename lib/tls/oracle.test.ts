// SPDX-License-Identifier: Apache-2.0
// Sessions held against node:tls in both roles: what an independent driver of OpenSSL says goes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ConnectionOptions, TLSSocket, connect as tlsConnect } from 'node:tls';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { CART, createTlsMaterial, ORDERS } from '#lib/testkit/tls-material.ts';
import { flush, readAll, sessionStream, writeAll } from '#lib/testkit/tls-pair.ts';
import type { TlsContextOptions } from './context.ts';
import { Cell } from './openssl.ts';
import { TLS_ENDED, TlsSession } from './session.ts';

const { ca, cart, orders, context } = await createTlsMaterial();
const cell = new Cell(1024);

interface Far extends Disposable {
  readonly session: TlsSession;
  readonly node: TLSSocket;
  readonly received: Buffer[];
  flush(): void;
}

type NodeOptions = Partial<
  Pick<ConnectionOptions, 'cert' | 'key' | 'minVersion' | 'maxVersion' | 'ALPNProtocols' | 'ciphers' | 'ecdhCurve'>
>;

function far(
  role: 'client' | 'server',
  options: NodeOptions = {},
  identity = role === 'client' ? cart : orders,
  extra: Partial<TlsContextOptions> = {},
): Far {
  const own = context(identity, extra);
  const session = new TlsSession(own, role);
  const received: Buffer[] = [];
  const stream = sessionStream(session, () => {
    if (session.handshake() !== 'done') return;
    const bytes = readAll(session);
    if (bytes.length > 0) received.push(bytes);
  });
  stream.on('error', () => {});
  const theirs = role === 'client' ? orders : cart;
  const common = { cert: theirs.chainPem, key: theirs.keyPem, ca: ca.rootPem, ALPNProtocols: ['h2'], ...options };
  const node =
    role === 'client'
      ? new TLSSocket(stream, { isServer: true, requestCert: true, rejectUnauthorized: true, ...common })
      : tlsConnect({ socket: stream, checkServerIdentity: () => undefined, ...common });
  node.on('error', () => {});
  if (role === 'client') {
    session.handshake();
    flush(session, stream);
  }
  return {
    session,
    node,
    received,
    flush: () => flush(session, stream),
    [Symbol.dispose]() {
      node.destroy();
      stream.destroy();
      session.dispose();
      own.dispose();
    },
  };
}

const until = async (what: string, condition: () => boolean): Promise<void> => {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
};

for (const role of ['client', 'server'] as const) {
  test(`as ${role}, megabytes pass to and from node:tls unchanged`, async () => {
    using pair = far(role);
    await until('handshake', () => pair.session.state === 'open');
    assert.equal(pair.node.getProtocol(), 'TLSv1.3');
    assert.equal(pair.node.alpnProtocol, 'h2');
    assert.equal(pair.node.getCipher().name, 'TLS_AES_128_GCM_SHA256');
    const peer = pair.session.peer();
    assert.ok(peer.ok);
    assert.equal(peer.value.uri, role === 'client' ? ORDERS : CART);
    const there = randomBytes(3_000_001);
    pair.node.write(there);
    const got: Buffer[] = [];
    pair.node.on('data', (chunk: Buffer) => got.push(chunk));
    const back = randomBytes(2_000_003);
    for (let at = 0; at < back.length; ) {
      at += Math.max(0, writeAll(pair.session, back.subarray(at)));
      pair.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const size = (parts: Buffer[]): number => parts.reduce((sum, part) => sum + part.length, 0);
    await until('everything arrived', () => size(pair.received) === there.length && size(got) === back.length);
    assert.ok(Buffer.concat(pair.received).equals(there));
    assert.ok(Buffer.concat(got).equals(back));
  });

  test(`as ${role}, close_notify of either side is a clean end`, async () => {
    using pair = far(role);
    await until('handshake', () => pair.session.state === 'open');
    const ended = once(pair.node, 'end');
    pair.node.resume();
    pair.session.closeNotify();
    pair.flush();
    await ended;
    using other = far(role);
    await until('handshake', () => other.session.state === 'open');
    other.node.end();
    await until('end', () => other.session.state === 'ended');
    assert.equal(other.session.read(cell.pointer, 10), TLS_ENDED);
    assert.equal(other.session.truncated, false);
  });

  test(`as ${role}, TLS 1.2 is refused`, async () => {
    using pair = far(role, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    await until('failure', () => pair.session.state === 'failed');
    assert.match(pair.session.failure, /protocol|version/);
  });

  test(`as ${role}, TLS 1.2 is spoken when it is allowed, with ephemeral keys and AES-GCM alone`, async () => {
    const old: NodeOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
    using pair = far(role, old, undefined, { tls12: true });
    await until('handshake', () => pair.session.state === 'open');
    assert.equal(pair.node.getProtocol(), 'TLSv1.2');
    assert.equal(pair.node.getCipher().name, 'ECDHE-ECDSA-AES256-GCM-SHA384');
    assert.ok(pair.session.peer().ok);
    pair.node.write('old');
    await until('it arrives', () => Buffer.concat(pair.received).toString() === 'old');
    using newer = far(role, {}, undefined, { tls12: true });
    await until('handshake', () => newer.session.state === 'open');
    assert.equal(newer.node.getProtocol(), 'TLSv1.3');
    using weak = far(role, { ...old, ciphers: 'ECDHE-ECDSA-AES128-SHA' }, undefined, { tls12: true });
    await until('failure', () => weak.session.state === 'failed');
  });

  test(`as ${role}, a policy of post-quantum keys refuses a peer that has none`, async () => {
    const groups = 'X25519MLKEM768';
    using pair = far(role, {}, undefined, { groups });
    await until('handshake', () => pair.session.state === 'open');
    using classic = far(role, { ecdhCurve: 'X25519' }, undefined, { groups });
    await until('failure', () => classic.session.state === 'failed');
  });

  test(`as ${role}, a peer without ALPN h2 is refused`, async () => {
    using pair = far(role, { ALPNProtocols: ['http/1.1'] });
    await until('failure', () => pair.session.state === 'failed');
    assert.match(pair.session.failure, /alpn|application protocol/i);
    using silent = far(role, { ALPNProtocols: [] });
    await until('failure', () => silent.session.state === 'failed');
    assert.match(silent.session.failure, /ALPN/);
  });

  test(`as ${role}, a peer of another root is refused`, async () => {
    const stranger = await (await createTestCa('other')).issue(role === 'client' ? ORDERS : CART);
    using pair = far(role, { cert: stranger.chainPem, key: stranger.keyPem });
    await until('failure', () => pair.session.state === 'failed');
    assert.match(pair.session.failure, /certificate verify failed \(.*issuer/);
  });
}

test('trap 10: a client without a certificate is refused', async () => {
  using pair = far('server', { cert: [], key: [] });
  await until('failure', () => pair.session.state === 'failed');
  assert.match(pair.session.failure, /peer did not return a certificate/);
});

test('trap 9: no ticket is ever given to a client', async () => {
  using pair = far('server');
  let tickets = 0;
  pair.node.on('session', () => tickets++);
  await until('handshake', () => pair.session.state === 'open');
  pair.node.write('x');
  await until('byte', () => pair.received.length > 0);
  writeAll(pair.session, Buffer.from('y'));
  const data = once(pair.node, 'data');
  pair.flush();
  await data;
  assert.equal(tickets, 0);
  assert.equal(pair.node.isSessionReused(), false);
});
