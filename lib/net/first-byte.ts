// SPDX-License-Identifier: Apache-2.0
// An accepted connection in clear until its client says something. Whoever connects and leaves again has cost a socket and this: no
// protocol, no timer, and one system call for the end, since nothing was said that would have to be sent or heard out.
import { recv } from '#lib/linux/calls.ts';
import { MSG_PEEK } from '#lib/linux/constants.ts';
import { type InputOwner, InputPlace, STRANGER_US } from './input-turns.ts';
import { Socket, type SocketOwner } from './socket.ts';
import type { Workbench } from './workbench.ts';

export interface FirstByteOwner {
  /** It says something: the socket is the owner's, with nothing read. */
  onFirstByte(socket: Socket): void;
  /** It left without a word. The socket is closed. */
  onLeft(): void;
}

export class FirstByte implements SocketOwner, InputOwner {
  /** Monotonic ms. */
  readonly since: number;
  readonly #bench: Workbench;
  readonly #owner: FirstByteOwner;
  readonly #socket: Socket;
  readonly #place: InputPlace;
  #over = false;

  /** Takes `fd`, which is connected. */
  constructor(bench: Workbench, fd: number, owner: FirstByteOwner) {
    const { loop } = bench;
    this.#bench = bench;
    this.#owner = owner;
    this.since = loop.now;
    this.#place = new InputPlace(this, loop.began, STRANGER_US);
    this.#socket = new Socket(loop, fd, this);
  }

  onSocket(socket: Socket): void {
    if (socket.readable) this.#bench.inputs.push(this.#place);
  }

  onInputTurn(): boolean {
    if (this.#over) return false;
    const socket = this.#socket;
    this.#over = true;
    // Its end may have come with its first bytes, or instead of them.
    if (socket.ending && recv(socket.fd, this.#bench.receive, 0, 1, MSG_PEEK) <= 0) {
      socket.close();
      this.#owner.onLeft();
    } else this.#owner.onFirstByte(socket);
    return false;
  }

  /** Closes the connection; nobody is told. */
  close(): void {
    this.#over = true;
    this.#socket.close();
  }
}
