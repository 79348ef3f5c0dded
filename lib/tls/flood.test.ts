// SPDX-License-Identifier: Apache-2.0
// Peers that hold a certificate and misbehave, and our own change of keys. The hostile peer is OpenSSL without our rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { createTlsMaterial } from '#lib/testkit/tls-material.ts';
import { bytesAt, carry, connect, createPair, deliver, pump, readAll, writeAll } from '#lib/testkit/tls-pair.ts';
import type { TlsContext } from './context.ts';
import { Cell, openssl } from './openssl.ts';
import { Ring, SMALL_RING_BYTES } from './ring.ts';
import { TlsSession } from './session.ts';

const { cart, orders, context } = await createTlsMaterial();
const cell = new Cell(64 * 1024);
const REQUEST_REPLY = 1;

/** A client that can send key updates at will. */
class HostileClient implements Disposable {
  readonly ssl: bigint;
  readonly ring: Ring;

  constructor(own: TlsContext, victim: TlsSession) {
    this.ssl = openssl.SSL_new(own.pointer);
    this.ring = new Ring(this.ssl);
    openssl.SSL_set_connect_state(this.ssl);
    for (let round = 0; round < 10; round++) {
      openssl.SSL_do_handshake(this.ssl);
      deliver(victim, this.take());
      victim.handshake();
      this.give(victim);
    }
    assert.equal(victim.state, 'open');
  }

  /** Ciphertext of `count` key updates, each asking for a reply. */
  keyUpdates(count: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      assert.equal(openssl.SSL_key_update(this.ssl, REQUEST_REPLY), 1);
      assert.equal(openssl.SSL_do_handshake(this.ssl), 1);
      parts.push(this.take());
    }
    return Buffer.concat(parts);
  }

  data(length: number): Uint8Array {
    assert.equal(openssl.SSL_write(this.ssl, cell.pointer, length), length);
    return this.take();
  }

  give(victim: TlsSession): number {
    let moved = 0;
    for (let n = victim.outboundPending(); n > 0; n = victim.outboundPending()) {
      const room = Math.min(n, this.ring.inboundRoom());
      if (room === 0) break;
      bytesAt(this.ring.inboundPointer, room).set(bytesAt(victim.outboundPointer, room));
      victim.sent(room);
      this.ring.commit(room);
      moved += room;
    }
    return moved;
  }

  take(): Buffer {
    const parts: Buffer[] = [];
    for (let n = this.ring.outboundPending(); n > 0; n = this.ring.outboundPending()) {
      parts.push(Buffer.from(bytesAt(this.ring.outboundPointer, n)));
      this.ring.sent(n);
    }
    return Buffer.concat(parts);
  }

  [Symbol.dispose](): void {
    this.ring.dispose();
    openssl.SSL_free(this.ssl);
  }
}

test('trap 8: a flood of key updates ends the session within its budget of time and replies', () => {
  using own = disposable(context(cart));
  using victimContext = disposable(context(orders));
  const victim = new TlsSession(victimContext.context, 'server');
  using hostile = new HostileClient(own.context, victim);
  const flood = hostile.keyUpdates(4000);
  let longest = 0;
  let replies = 0;
  for (let at = 0; at < flood.length && victim.state === 'open'; ) {
    at += deliver(victim, flood.subarray(at));
    // Processor time, not the clock's: the bound is about work, and other programs may be running.
    const before = process.threadCpuUsage();
    victim.read(cell.pointer, 1024);
    longest = Math.max(longest, process.threadCpuUsage(before).user / 1000);
    for (let n = victim.outboundPending(); n > 0; n = victim.outboundPending()) {
      victim.sent(n);
      replies += n;
    }
  }
  assert.equal(victim.state, 'failed');
  assert.match(victim.failure, /too many records without data/);
  assert.ok(replies < 60_000, `${replies} bytes of replies`);
  assert.ok(longest < 60, `one read took ${longest} ms of processor time`);
  victim.dispose();
});

test('trap 8: key updates that come with data are answered and harmless', () => {
  using own = disposable(context(cart));
  using victimContext = disposable(context(orders));
  const victim = new TlsSession(victimContext.context, 'server');
  using hostile = new HostileClient(own.context, victim);
  for (let i = 0; i < 300; i++) {
    deliver(victim, hostile.keyUpdates(2));
    deliver(victim, hostile.data(8192));
    assert.equal(victim.read(cell.pointer, cell.bytes.length), 8192);
    hostile.give(victim);
    openssl.SSL_read(hostile.ssl, cell.pointer, 1);
  }
  assert.equal(victim.state, 'open');
  victim.dispose();
});

test('trap 8: keys change after the set number of records, both ways, with traffic running', () => {
  using pair = createPair(context(cart, { rekeyRecords: 50 }), context(orders, { rekeyRecords: 50 }));
  connect(pair);
  for (let i = 0; i < 500; i++) {
    const text = Buffer.from(`record ${i}`);
    writeAll(pair.client, text);
    writeAll(pair.server, text);
    pump(pair);
    assert.deepEqual(
      [readAll(pair.server).toString(), readAll(pair.client).toString()],
      [`record ${i}`, `record ${i}`],
    );
  }
  assert.ok(pair.client.rekeys >= 9 && pair.server.rekeys >= 9, `${pair.client.rekeys} and ${pair.server.rekeys}`);
});

test("trap 1: whatever the room and the key updates, no byte of another tenant's is ever sent", () => {
  const contexts = [context(cart, { rekeyRecords: 3 }), context(orders, { rekeyRecords: 2 })] as const;
  const step = fc.record({
    tenant: fc.integer({ min: 0, max: 1 }),
    length: fc.integer({ min: 1, max: 40_000 }),
    carried: fc.integer({ min: 0, max: 30_000 }),
    back: fc.integer({ min: 0, max: 3000 }),
    reply: fc.boolean(),
    shrink: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
      const tenants = [0, 1].map(() => ({
        client: new TlsSession(contexts[0], 'client'),
        server: new TlsSession(contexts[1], 'server'),
        written: 0,
        seen: 0,
        [Symbol.dispose]() {},
      }));
      const check = (index: number, from: TlsSession): void => {
        const tenant = tenants[index]!;
        for (const byte of readAll(from)) assert.equal(byte, pattern(index, tenant.seen++));
      };
      try {
        for (const tenant of tenants) connect(tenant);
        for (const { tenant: index, length, carried, back, reply, shrink } of steps) {
          const tenant = tenants[index]!;
          if (shrink) tenant.client.shrinkIfIdle();
          // Half the time without asking for room, as a careless caller would; the arena is refilled for another right after.
          const n = reply ? length : Math.min(length, tenant.client.writeRoom());
          for (let i = 0; i < n; i++) cell.bytes[i] = pattern(index, tenant.written + i);
          const taken = tenant.client.write(cell.pointer, n);
          assert.ok(taken === 0 || taken === n);
          tenant.written += taken;
          cell.bytes.fill(pattern(1 - index, 0));
          carry(tenant.client, tenant.server, carried);
          check(index, tenant.server);
          if (reply) writeAll(tenant.server, Buffer.alloc(10));
          carry(tenant.server, tenant.client, back);
          readAll(tenant.client);
        }
        tenants.forEach((tenant, index) => {
          for (let i = 0; i < 100 && tenant.seen < tenant.written; i++) {
            pump(tenant);
            check(index, tenant.server);
            readAll(tenant.client);
          }
          assert.equal(tenant.seen, tenant.written);
          assert.deepEqual([tenant.client.failure, tenant.server.failure], ['', '']);
        });
      } finally {
        for (const { client, server } of tenants) {
          client.dispose();
          server.dispose();
        }
      }
    }),
    { numRuns: 60 },
  );
  for (const one of contexts) one.dispose();
});

test('trap 1: replies that find no room wait for the socket, and writes wait with them', () => {
  using own = disposable(context(cart));
  using victimContext = disposable(context(orders));
  const victim = new TlsSession(victimContext.context, 'server');
  using hostile = new HostileClient(own.context, victim);
  assert.ok(victim.writeRoom() < SMALL_RING_BYTES);
  const filled = victim.write(cell.pointer, victim.writeRoom());
  assert.ok(filled > 16_000);
  // 512 bytes are kept for replies of 27 each: these are more.
  deliver(victim, hostile.keyUpdates(100));
  assert.equal(victim.read(cell.pointer, 100), 0);
  assert.equal(victim.wantsRoom, true);
  assert.equal(victim.writeRoom(), 0);
  assert.equal(victim.write(cell.pointer, 1), 0);
  deliver(victim, hostile.data(10));
  for (let i = 0; i < 100 && victim.read(cell.pointer, 100) !== 10; i++) hostile.give(victim);
  assert.equal(victim.wantsRoom, false);
  assert.equal(victim.state, 'open');
  victim.dispose();
});

function pattern(tenant: number, at: number): number {
  return (tenant === 0 ? at : 255 - at) & 0xff;
}

function disposable(own: TlsContext): { readonly context: TlsContext } & Disposable {
  return { context: own, [Symbol.dispose]: () => own.dispose() };
}
