// SPDX-License-Identifier: Apache-2.0
// The loop's end of a control channel: messages with descriptors between the main process and a data-plane process.
// JSON for what is rare; what is big or hot lies in shared memory instead.
import { ENOTCONN } from '#lib/linux/errno.ts';
import type { Loop, Pollable, Resumable, Slot } from './loop.ts';
import { PacketReader, PacketWriter } from './packet.ts';

/** Messages taken in one turn, so that a flood of them does not starve connections (trap 18). */
const MESSAGES_PER_TURN = 16;

/** Who listens to a channel. */
export interface ChannelHandler {
  /** `bytes` is valid during the call only; `fds` are the handler's to close. */
  onMessage(bytes: Uint8Array, fds: number[]): void;
  /** The other end is gone, or broke the protocol. Called once; the channel is closed. */
  onClosed(reason: string): void;
}

/** What both ends of a channel can do. */
export interface ChannelSender {
  /** Sends or queues; false when the channel is closed. `fds` stay the caller's. */
  send(bytes: Uint8Array, fds?: readonly number[]): boolean;
  sendJson(value: unknown, fds?: readonly number[]): boolean;
}

/** A channel on the loop. Takes over `fd`, a non-blocking SEQPACKET socket. */
export class Channel implements Pollable, Resumable, ChannelSender {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #slot: Slot;
  readonly #reader: PacketReader;
  readonly #writer: PacketWriter;
  readonly #handler: ChannelHandler;
  #closed = false;

  constructor(loop: Loop, fd: number, handler: ChannelHandler) {
    this.#loop = loop;
    this.#handler = handler;
    this.#reader = new PacketReader(fd);
    this.#writer = new PacketWriter(fd);
    this.#slot = loop.add(fd, this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): boolean {
    if (this.#closed) return false;
    const failed = this.#writer.send(bytes, fds);
    if (failed < 0) this.#fail(failed);
    return failed === 0;
  }

  sendJson(value: unknown, fds: readonly number[] = []): boolean {
    return this.send(encodeJson(value), fds);
  }

  onReady(): void {
    if (this.#closed) return;
    if (this.#writer.waiting > 0) {
      const failed = this.#writer.flush();
      if (failed < 0) {
        this.#fail(failed);
        return;
      }
    }
    this.resume();
  }

  resume(): void {
    for (let count = 0; count < MESSAGES_PER_TURN; count++) {
      if (this.#closed) return;
      const result = this.#reader.receive();
      if (result === 'empty') return;
      if (result === 'end') {
        this.#end(this.#reader.reason);
        return;
      }
      if (result === 'message') this.#handler.onMessage(this.#reader.bytes, this.#reader.fds);
    }
    this.#loop.again(this);
  }

  /** Closes this end; the handler is not told. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.discard();
    this.#writer.discard();
    this.#loop.remove(this.#slot);
  }

  #fail(errno: number): void {
    this.#end(errno === -ENOTCONN ? 'the other process ended' : `send failed with errno ${-errno}`);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#handler.onClosed(reason);
  }
}

/** A value as the bytes of its JSON text. */
export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The value whose JSON text `bytes` is. Throws SyntaxError: both ends are of one build. */
export function decodeJson(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
}
