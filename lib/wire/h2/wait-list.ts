// SPDX-License-Identifier: Apache-2.0
// Streams that could send if the connection's window let them, first come first served: a list through the streams
// themselves, so waiting allocates nothing.
import type { H2Stream } from './stream.ts';

/** A queue of streams, each in it at most once. */
export class WaitList {
  length = 0;
  #first: H2Stream | null = null;
  #last: H2Stream | null = null;

  push(stream: H2Stream): void {
    stream.previous = this.#last;
    stream.next = null;
    if (this.#last === null) this.#first = stream;
    else this.#last.next = stream;
    this.#last = stream;
    this.length++;
  }

  shift(): H2Stream | null {
    const first = this.#first;
    if (first !== null) this.remove(first);
    return first;
  }

  /** Takes out a stream that is in the list. */
  remove(stream: H2Stream): void {
    if (stream.previous === null) this.#first = stream.next;
    else stream.previous.next = stream.next;
    if (stream.next === null) this.#last = stream.previous;
    else stream.next.previous = stream.previous;
    stream.previous = stream.next = null;
    this.length--;
  }
}
