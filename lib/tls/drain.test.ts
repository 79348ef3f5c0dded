// SPDX-License-Identifier: Apache-2.0
// What a loop relies on: when `read` says 0, nothing that could be read is left, however the ciphertext was cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { parseIdentity } from '#lib/mesh/identity.ts';
import fc from '#lib/testkit/properties.ts';
import { createTlsMaterial } from '#lib/testkit/tls-material.ts';
import { bytesAt, connect, createPair, deliver, pump, readAll, writeAll } from '#lib/testkit/tls-pair.ts';
import { Cell } from './openssl.ts';
import { RECORD_OVERHEAD } from './ring.ts';
import { TLS_ENDED, TlsSession } from './session.ts';

const { cart, orders, context } = await createTlsMaterial();
const contexts = [context(cart), context(orders)] as const;
const cell = new Cell(64 * 1024);
const PLAIN = 1000;
const RECORD = PLAIN + RECORD_OVERHEAD;

/** All ciphertext of a session, taken out. */
function take(session: TlsSession): Buffer {
  const parts: Buffer[] = [];
  for (let n = session.outboundPending(); n > 0; n = session.outboundPending()) {
    parts.push(Buffer.from(bytesAt(session.outboundPointer, n)));
    session.sent(n);
  }
  return Buffer.concat(parts);
}

test('trap 17: read to 0 leaves nothing behind, whatever the cuts of ciphertext and the sizes of reads', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 20 });
  const writes = fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(writes, cuts, fc.integer({ min: 1, max: 65_536 }), fc.boolean(), (sizes, pieces, room, end) => {
      const client = new TlsSession(contexts[0], 'client');
      const server = new TlsSession(contexts[1], 'server');
      try {
        connect({ client, server, [Symbol.dispose]() {} });
        let wire: Buffer = Buffer.alloc(0);
        let complete = 0;
        // The end of each write in ciphertext and in plaintext: what is whole by then must be readable.
        const marks: { cipher: number; plain: number }[] = [];
        for (const size of sizes) {
          const block = Buffer.alloc(size, size & 0xff);
          for (let done = 0; done < size; ) {
            const n = writeAll(client, block.subarray(done));
            assert.ok(n >= 0);
            done += n;
            wire = Buffer.concat([wire, take(client)]);
          }
          complete += size;
          marks.push({ cipher: wire.length, plain: complete });
        }
        let given = 0;
        let got = 0;
        for (let i = 0; given < wire.length; i++) {
          const piece = pieces[i % pieces.length]!;
          given += deliver(server, wire.subarray(given, given + piece));
          if (end && given === wire.length) server.eof();
          for (let n = 1; n > 0; got += Math.max(0, n)) n = server.read(cell.pointer, room);
          const due = marks.filter(({ cipher }) => cipher <= given).at(-1)?.plain ?? 0;
          assert.ok(got >= due, `${got} of ${due} after ${given} bytes`);
        }
        assert.equal(got, complete);
        if (end) assert.equal(server.read(cell.pointer, room), TLS_ENDED);
      } finally {
        client.dispose();
        server.dispose();
      }
    }),
    { numRuns: 100 },
  );
});

test('trap 17: reading may leave output for the socket, and the session says so', () => {
  using pair = createPair(context(cart, { rekeyRecords: 2 }), context(orders, { rekeyRecords: 2 }));
  connect(pair);
  for (let i = 0; i < 4; i++) {
    writeAll(pair.client, Buffer.from('x'));
    pump(pair);
    readAll(pair.server);
  }
  // The server has asked for new keys by now; what the client reads makes it answer.
  writeAll(pair.server, Buffer.from('y'));
  for (const part of [take(pair.server)]) assert.equal(deliver(pair.client, part), part.length);
  assert.equal(pair.client.outboundPending(), 0);
  assert.equal(readAll(pair.client).toString(), 'y');
  assert.ok(pair.client.outboundPending() > 0);
});

test('every identity that TLS accepts is one the mesh can parse, part by part', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  const peer = pair.server.peer();
  assert.ok(peer.ok);
  const parsed = parseIdentity(peer.value.uri);
  assert.deepEqual(
    [parsed?.trustDomain, parsed?.namespace, parsed?.serviceAccount],
    [peer.value.trustDomain, peer.value.namespace, peer.value.serviceAccount],
  );
});

test('trap 22: a record costs less than 500 bytes of garbage, written, moved and read', () => {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  // Views are made once: in the product the kernel moves these bytes.
  const copy = new Uint8Array(RECORD);
  const views = new Map<bigint, Uint8Array>();
  const view = (pointer: bigint): Uint8Array => {
    let known = views.get(pointer);
    if (known === undefined) {
      known = bytesAt(pointer, RECORD);
      views.set(pointer, known);
    }
    return known;
  };
  const round = (): void => {
    pair.client.write(cell.pointer, PLAIN);
    if (pair.client.outboundPending() !== RECORD || pair.server.inboundRoom() < RECORD)
      throw new Error('not one record');
    copy.set(view(pair.client.outboundPointer));
    view(pair.server.inboundPointer).set(copy);
    pair.client.sent(RECORD);
    pair.server.received(RECORD);
    if (pair.server.read(cell.pointer, 4096) !== PLAIN) throw new Error('not one record');
  };
  const allocated = (): number =>
    (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes;
  for (let i = 0; i < 20_000; i++) round();
  const before = allocated();
  for (let i = 0; i < 20_000; i++) round();
  const perRecord = (allocated() - before) / 20_000;
  assert.ok(perRecord < 500, `${Math.round(perRecord)} bytes`);
});
