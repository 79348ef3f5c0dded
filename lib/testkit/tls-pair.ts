// SPDX-License-Identifier: Apache-2.0
// TLS sessions without sockets: two of ours joined by copying ring memory, or one of ours with a Node TLS socket.
import { toArrayBuffer } from 'node:ffi';
import { Duplex } from 'node:stream';
import type { TlsContext } from '#lib/tls/context.ts';
import { Cell } from '#lib/tls/openssl.ts';
import { TlsSession } from '#lib/tls/session.ts';

export interface TlsPair extends Disposable {
  readonly client: TlsSession;
  readonly server: TlsSession;
}

const scratch = new Cell(256 * 1024);

/** Two sessions; the contexts are given up with them. */
export function createPair(clientContext: TlsContext, serverContext: TlsContext): TlsPair {
  const client = new TlsSession(clientContext, 'client');
  const server = new TlsSession(serverContext, 'server');
  return {
    client,
    server,
    [Symbol.dispose]() {
      client.dispose();
      server.dispose();
      clientContext.dispose();
      serverContext.dispose();
    },
  };
}

/** Moves ciphertext from one session to the other, at most `limit` bytes; returns how many. */
export function carry(from: TlsSession, to: TlsSession, limit = Number.MAX_SAFE_INTEGER): number {
  let moved = 0;
  while (moved < limit) {
    const pending = from.outboundPending();
    const room = pending === 0 ? 0 : to.inboundRoom();
    const n = Math.min(pending, room, limit - moved);
    if (n === 0) break;
    bytesAt(to.inboundPointer, n).set(bytesAt(from.outboundPointer, n));
    from.sent(n);
    to.received(n);
    moved += n;
  }
  return moved;
}

/** Gives a session ciphertext that no peer of ours made, as far as it takes it; returns how much. */
export function deliver(session: TlsSession, bytes: Uint8Array): number {
  const n = Math.min(session.inboundRoom(), bytes.length);
  bytesAt(session.inboundPointer, n).set(bytes.subarray(0, n));
  session.received(n);
  return n;
}

/** Handshakes both to the end; throws with the failure of whichever failed. */
export function connect(pair: TlsPair): void {
  for (let round = 0; round < 20; round++) {
    const steps = [pair.client.handshake(), pair.server.handshake()];
    const moved = carry(pair.client, pair.server) + carry(pair.server, pair.client);
    if (moved > 0) continue;
    if (steps.every((step) => step === 'done')) return;
    throw new Error(`client ${steps[0]} ${pair.client.failure}; server ${steps[1]} ${pair.server.failure}`);
  }
  throw new Error('handshake does not end');
}

/** Carries what is pending both ways, without reading plaintext. */
export function pump(pair: TlsPair): void {
  while (carry(pair.client, pair.server) + carry(pair.server, pair.client) > 0);
}

/** Writes as much of `bytes` as fits; returns how much, or the session's negative answer. */
export function writeAll(session: TlsSession, bytes: Uint8Array): number {
  let done = 0;
  while (done < bytes.length) {
    const n = Math.min(session.writeRoom(), bytes.length - done, scratch.bytes.length);
    if (n === 0) break;
    scratch.bytes.set(bytes.subarray(done, done + n));
    const taken = session.write(scratch.pointer, n);
    // The arena is somebody else's now.
    scratch.bytes.fill(0xee, 0, n);
    if (taken <= 0) return done === 0 ? taken : done;
    done += taken;
  }
  return done;
}

/** All plaintext that is there. */
export function readAll(session: TlsSession): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const n = session.read(scratch.pointer, scratch.bytes.length);
    if (n <= 0) return Buffer.concat(parts);
    parts.push(Buffer.from(scratch.bytes.subarray(0, n)));
  }
}

/**
 * The far end of a session as a stream, for `node:tls` to sit on. `onProgress` runs after ciphertext has arrived.
 */
export function sessionStream(session: TlsSession, onProgress: () => void): Duplex {
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; ) {
        const n = deliver(session, chunk.subarray(at));
        if (n === 0) return done(new Error(`session takes no more: ${session.state} ${session.failure}`));
        at += n;
        onProgress();
        flush(session, stream);
      }
      done();
    },
    final(done) {
      session.eof();
      onProgress();
      flush(session, stream);
      done();
    },
  });
  return stream;
}

/** Hands the session's ciphertext to a stream made by `sessionStream`. */
export function flush(session: TlsSession, stream: Duplex): void {
  for (let n = session.outboundPending(); n > 0; n = session.outboundPending()) {
    stream.push(Buffer.from(bytesAt(session.outboundPointer, n)));
    session.sent(n);
  }
}

export function bytesAt(pointer: bigint, length: number): Uint8Array {
  return new Uint8Array(toArrayBuffer(pointer, length, false));
}
