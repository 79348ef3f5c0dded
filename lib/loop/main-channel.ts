// SPDX-License-Identifier: Apache-2.0
// The main process's end of a control channel, on Node's own event loop.
import { close } from '#lib/linux/calls.ts';
import { type ChannelHandler, type ChannelSender, encodeJson } from './channel.ts';
import type { FdWatch, Watcher } from './fd-watch.ts';
import { PacketReader, PacketWriter } from './packet.ts';

/** Messages taken in one go before other work of the process gets its turn. */
const MESSAGES_PER_LOOK = 64;

/** Owns `fd`, a non-blocking SEQPACKET socket. */
export class MainChannel implements Watcher, ChannelSender {
  readonly fd: number;
  readonly #watch: FdWatch;
  readonly #reader: PacketReader;
  readonly #writer: PacketWriter;
  readonly #handler: ChannelHandler;
  #closed = false;

  constructor(watch: FdWatch, fd: number, handler: ChannelHandler) {
    this.fd = fd;
    this.#watch = watch;
    this.#handler = handler;
    this.#reader = new PacketReader(fd);
    this.#writer = new PacketWriter(fd);
    watch.add(this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): boolean {
    if (this.#closed) return false;
    const failed = this.#writer.send(bytes, fds);
    if (failed < 0) this.#end(`send failed with errno ${-failed}`);
    else if (this.#writer.waiting > 0) this.#watch.schedule();
    return failed === 0;
  }

  sendJson(value: unknown, fds: readonly number[] = []): boolean {
    return this.send(encodeJson(value), fds);
  }

  wantsWrite(): boolean {
    return this.#writer.waiting > 0;
  }

  onFdReady(): void {
    const failed = this.#writer.flush();
    if (failed < 0) {
      this.#end(`send failed with errno ${-failed}`);
      return;
    }
    for (let count = 0; count < MESSAGES_PER_LOOK && !this.#closed; count++) {
      const result = this.#reader.receive();
      if (result === 'empty') return;
      if (result === 'end') {
        this.#end(this.#reader.reason);
        return;
      }
      if (result === 'message') this.#handler.onMessage(this.#reader.bytes, this.#reader.fds);
    }
  }

  /** Closes this end; the handler is not told. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.discard();
    this.#writer.discard();
    this.#watch.remove(this);
    close(this.fd);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#handler.onClosed(reason);
  }
}
