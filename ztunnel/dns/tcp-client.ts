// SPDX-License-Identifier: Apache-2.0
// One client of a pod's DNS over TCP: messages behind their length (RFC 1035 section 4.2.2), answered in the order in which answers
// come, as many as the client likes one after the other.
import { Arena } from '#lib/linux/arena.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { BROKEN, NOTHING_YET, Socket, type SocketOwner } from '#lib/net/socket.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import type { Handle } from './udp-door.ts';

/** A client that says nothing, and is told nothing, is closed after this. */
const IDLE_MS = 5_000;

const arena = Arena.allocate(70 * 1024);

export class TcpClient implements SocketOwner, TimerTarget, LiveConnection {
  place = -1;
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #handle: Handle;
  #held: Buffer = Buffer.alloc(0);
  #unanswered = 0;
  #asksNoMore = false;
  #timer: TimerId;

  constructor(pod: Pod, fd: number, handle: Handle) {
    this.#pod = pod;
    this.#handle = handle;
    this.#timer = pod.runtime.loop.after(IDLE_MS, this);
    this.#socket = new Socket(pod.runtime.loop, fd, this);
    pod.add(this);
  }

  onSocket(socket: Socket): void {
    while (socket.readable && !socket.closed) {
      const n = socket.receive(arena, 0, arena.size);
      if (n === NOTHING_YET) return;
      if (n === 0) {
        // It asks no more; what it has asked is still answered.
        this.#asksNoMore = true;
        if (this.#unanswered === 0) this.#end(false);
        return;
      }
      if (n === BROKEN) {
        this.#end(true);
        return;
      }
      this.#held = Buffer.concat([this.#held, arena.bytes.subarray(0, n)]);
      this.#take();
    }
  }

  onTimer(): void {
    this.#timer = 0;
    this.#end(false);
  }

  kill(): void {
    this.#end(true);
  }

  info(): null {
    return null;
  }

  #take(): void {
    while (this.#held.length >= 2 && !this.#socket.closed) {
      const end = 2 + this.#held.readUInt16BE(0);
      if (this.#held.length < end) return;
      const message = this.#held.subarray(2, end);
      this.#held = Buffer.from(this.#held.subarray(end));
      this.#unanswered++;
      this.#rest();
      this.#handle(message, (reply) => this.#reply(reply));
    }
  }

  #reply(message: Buffer): void {
    this.#unanswered--;
    if (this.#socket.closed) return;
    this.#rest();
    arena.bytes.writeUInt16BE(message.length, 0);
    message.copy(arena.bytes, 2);
    // An answer is small beside a socket's buffer; a client that lets them pile up loses its connection.
    if (this.#socket.send(arena, 0, message.length + 2) !== message.length + 2) this.#end(true);
    else if (this.#asksNoMore && this.#unanswered === 0) this.#end(false);
  }

  /** Something happened: it may be silent from now for as long as it might before. */
  #rest(): void {
    const { loop } = this.#pod.runtime;
    if (this.#timer !== 0) loop.cancel(this.#timer);
    this.#timer = loop.after(IDLE_MS, this);
  }

  #end(broken: boolean): void {
    if (this.#socket.closed) return;
    if (this.#timer !== 0) this.#pod.runtime.loop.cancel(this.#timer);
    if (broken) this.#socket.abort();
    else this.#socket.close();
    this.#pod.runtime.admission.leave();
    this.#pod.delete(this);
  }
}
