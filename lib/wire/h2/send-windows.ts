// SPDX-License-Identifier: Apache-2.0
// What the peer lets us send (RFC 9113 section 5.2): a window for the connection and one for each stream, and who
// waits for which of them.
import type { H2Handler } from './handler.ts';
import { INITIAL_WINDOW, MAX_31 } from './protocol.ts';
import type { H2Stream } from './stream.ts';
import { WaitList } from './wait-list.ts';

/** The windows of one connection for what we send. */
export class SendWindows {
  /** Octets the connection may still send. */
  window: number = INITIAL_WINDOW;
  readonly #handler: H2Handler;
  readonly #blocked = new WaitList();

  constructor(handler: H2Handler) {
    this.#handler = handler;
  }

  /** Octets that stream may send now; 0 puts it on the list of those to be told. */
  available(stream: H2Stream): number {
    const window = Math.min(stream.sendWindow, this.window);
    if (window > 0) return window;
    if (stream.waiting === 0) {
      if (stream.sendWindow <= 0) stream.waiting = 1;
      else this.#waitForConnection(stream);
    }
    return 0;
  }

  /** The peer opens the window of the connection; false if it overflows. */
  openConnection(increment: number): boolean {
    if (this.window + increment > MAX_31) return false;
    this.window += increment;
    for (let turns = this.#blocked.length; turns > 0 && this.window > 0; turns--) {
      const stream = this.#blocked.shift();
      if (stream === null) break;
      stream.waiting = stream.sendWindow > 0 ? 0 : 1;
      if (stream.waiting === 0) this.#handler.onSendable(stream);
    }
    return true;
  }

  /** The peer opens (or, by SETTINGS, shrinks) the window of a stream; false if it overflows. */
  openStream(stream: H2Stream, increment: number): boolean {
    if (stream.sendWindow + increment > MAX_31) return false;
    stream.sendWindow += increment;
    return true;
  }

  /** Tells a stream that waited for its own window and has one now. */
  wake(stream: H2Stream): void {
    if (stream.waiting !== 1 || stream.sendWindow <= 0) return;
    if (this.window <= 0) this.#waitForConnection(stream);
    else {
      stream.waiting = 0;
      this.#handler.onSendable(stream);
    }
  }

  /** The stream is closed. */
  forget(stream: H2Stream): void {
    if (stream.waiting === 2) this.#blocked.remove(stream);
    stream.waiting = 0;
  }

  #waitForConnection(stream: H2Stream): void {
    stream.waiting = 2;
    this.#blocked.push(stream);
  }
}
