// SPDX-License-Identifier: Apache-2.0
// Messages of any length, with descriptors, over an AF_UNIX SEQPACKET socket: both ends of a control channel use this, the
// loop's and the main process's. A message is one or more datagrams of a length that is checked; order and boundaries are the kernel's.
//
//   datagram:  flags (1 byte: FIRST, LAST)  0 0 0   total length of the message (4 bytes, little endian)   part of the payload
//
// Descriptors travel with the first datagram.
import { AmbitError } from '#lib/kit/error.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { EAGAIN, EINTR, ENOBUFS } from '#lib/linux/errno.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { duplicate } from '#lib/linux/process.ts';

const HEADER = 8;
const FIRST = 1;
const LAST = 2;
/** Payload of one datagram. */
export const PART_BYTES = 60 * 1024;
/** Longest message; a longer one is a fault of ours. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  sent: number;
  /** Duplicates that are ours until they are sent. */
  readonly fds: readonly number[];
}

/** Sends messages, keeping what the socket does not take yet. */
export class PacketWriter {
  readonly #fd: number;
  readonly #arena = Arena.allocate(HEADER + PART_BYTES);
  readonly #queue: Waiting[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Messages not wholly sent yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Sends or queues a message; `fds` stay the caller's. Returns 0 or a negative errno that ended the channel. */
  send(bytes: Uint8Array, fds: readonly number[] = []): number {
    if (bytes.length > MAX_MESSAGE_BYTES) {
      throw new AmbitError('CHANNEL_MESSAGE_SIZE', `a control message of ${bytes.length} bytes is too long`);
    }
    const message: Waiting = { bytes, sent: -1, fds };
    if (this.#queue.length === 0) {
      const result = this.#sendParts(message);
      if (result === 0) return 0;
      if (result !== -EAGAIN) return result;
    }
    // The caller may reuse its memory and close its descriptors, so both are copied.
    const keep = message.sent < 0 ? fds.map(duplicate).filter((fd) => fd >= 0) : [];
    this.#queue.push({ bytes: bytes.slice(), sent: message.sent, fds: keep });
    return 0;
  }

  /** Sends what waits. Returns 0, also when some still waits, or a negative errno that ended the channel. */
  flush(): number {
    for (let message = this.#queue[0]; message !== undefined; message = this.#queue[0]) {
      const result = this.#sendParts(message);
      if (result === -EAGAIN) return 0;
      this.#queue.shift();
      for (const fd of message.fds) close(fd);
      if (result < 0) return result;
    }
    return 0;
  }

  /** Drops what waits. */
  discard(): void {
    for (const message of this.#queue.splice(0)) for (const fd of message.fds) close(fd);
  }

  /** Sends the parts that are left; 0 when all are gone, -EAGAIN when the socket is full, another negative errno at its end. */
  #sendParts(message: Waiting): number {
    const total = message.bytes.length;
    do {
      const from = Math.max(message.sent, 0);
      const length = Math.min(total - from, PART_BYTES);
      const { bytes, view } = this.#arena;
      const first = message.sent < 0;
      view.setUint32(0, (first ? FIRST : 0) | (from + length === total ? LAST : 0), true);
      view.setUint32(4, total, true);
      bytes.set(message.bytes.subarray(from, from + length), HEADER);
      const n = sendMessage(this.#fd, this.#arena, 0, HEADER + length, first ? message.fds : []);
      if (n === -EINTR) continue;
      if (n === -ENOBUFS) return -EAGAIN;
      if (n < 0) return n;
      message.sent = from + length;
    } while (message.sent < total);
    return 0;
  }
}

/** What came of one try to receive. */
export type PacketResult = 'message' | 'part' | 'empty' | 'end';

/** Receives messages. After 'message', `bytes` and `fds` hold it until the next call. */
export class PacketReader {
  /** The message; memory is reused by the next receive(). */
  bytes: Uint8Array = new Uint8Array(0);
  /** Its descriptors; the caller owns them. */
  fds: number[] = [];
  /** Why the channel ended, for the log. */
  reason = '';
  readonly #fd: number;
  readonly #arena = Arena.allocate(HEADER + PART_BYTES);
  #assembly: Uint8Array | undefined;
  #filled = 0;
  #pendingFds: number[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Receives one datagram. 'end' says that the peer is gone or broke the protocol; `reason` tells which. */
  receive(): PacketResult {
    const n = receiveMessage(this.#fd, this.#arena, 0, this.#arena.size);
    if (n === -EAGAIN || n === -EINTR) return 'empty';
    if (n <= 0) return this.#end(n === 0 ? 'the other process closed it or ended' : `receive failed with errno ${-n}`);
    this.#pendingFds.push(...received.fds);
    if (received.controlTruncated) return this.#end('descriptors were lost, the descriptor limit is reached');
    const flags = this.#arena.view.getUint32(0, true);
    const total = this.#arena.view.getUint32(4, true);
    const length = n - HEADER;
    if (length < 0 || received.truncated || total > MAX_MESSAGE_BYTES) return this.#end('malformed datagram');
    const payload = this.#arena.bytes.subarray(HEADER, n);
    if (flags === (FIRST | LAST)) {
      if (this.#assembly || length !== total) return this.#end('malformed datagram');
      return this.#complete(payload);
    }
    return this.#assemble(flags, total, payload);
  }

  /** Closes descriptors of a message that never became whole. */
  discard(): void {
    for (const fd of this.#pendingFds.splice(0)) close(fd);
    this.#assembly = undefined;
  }

  #assemble(flags: number, total: number, payload: Uint8Array): PacketResult {
    if (flags & FIRST) {
      if (this.#assembly) return this.#end('a message began inside another');
      this.#assembly = new Uint8Array(total);
      this.#filled = 0;
    }
    const assembly = this.#assembly;
    if (!assembly || total !== assembly.length || this.#filled + payload.length > total)
      return this.#end('malformed datagram');
    assembly.set(payload, this.#filled);
    this.#filled += payload.length;
    if (!(flags & LAST)) return 'part';
    if (this.#filled !== total) return this.#end('malformed datagram');
    this.#assembly = undefined;
    return this.#complete(assembly);
  }

  #complete(bytes: Uint8Array): PacketResult {
    this.bytes = bytes;
    this.fds = this.#pendingFds;
    this.#pendingFds = [];
    return 'message';
  }

  #end(reason: string): PacketResult {
    this.reason = reason;
    this.discard();
    return 'end';
  }
}
