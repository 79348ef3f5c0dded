// SPDX-License-Identifier: Apache-2.0
// Which streams of a connection are open, and what is still known of those that are not: a frame for a stream that we
// reset is late and harmless, one for a stream that both sides ended is a violation (RFC 9113 section 5.1).
import { OpenStreams } from './open-streams.ts';
import type { H2Stream } from './stream.ts';

/** What a stream that is not open once was. */
export type Past = 'idle' | 'skipped' | 'reset' | 'ended';

// How many of our own resets are remembered, at most; a frame for an older one is taken for late, too.
const REMEMBERED_RESETS = 256;
const REMEMBERED_GAPS = 16;

/** The streams of one connection. */
export class StreamTable {
  readonly open = new OpenStreams();
  /** Highest identifier the peer has used. */
  lastPeerId = 0;
  /** Identifier of our next stream; only clients open streams here. */
  nextLocalId = 1;
  #last: H2Stream | undefined;
  #resets: number[] = [];
  #resetAt = 0;
  /** Highest identifier that fell out of the memory of resets. */
  #forgotten = 0;
  // Pairs: first and last identifier the peer has left out.
  #gaps: number[] = [];

  /** The open stream of that identifier. */
  find(id: number): H2Stream | undefined {
    if (this.#last !== undefined && this.#last.id === id) return this.#last;
    const stream = this.open.get(id);
    if (stream !== undefined) this.#last = stream;
    return stream;
  }

  add(stream: H2Stream): void {
    this.open.add(stream);
  }

  remove(stream: H2Stream): void {
    this.open.delete(stream);
    if (this.#last === stream) this.#last = undefined;
  }

  /** The peer opens a stream; returns false if that identifier lies behind it. */
  advance(id: number): boolean {
    if (id <= this.lastPeerId) return false;
    const next = this.lastPeerId === 0 ? 1 : this.lastPeerId + 2;
    if (id > next) {
      if (this.#gaps.length >= REMEMBERED_GAPS * 2) this.#gaps.splice(0, 2);
      this.#gaps.push(next, id - 2);
    }
    this.lastPeerId = id;
    return true;
  }

  /** We have reset that stream: its late frames are to be ignored. */
  rememberReset(id: number): void {
    if (this.#resets.length < REMEMBERED_RESETS) {
      this.#resets.push(id);
      return;
    }
    this.#forgotten = Math.max(this.#forgotten, this.#resets[this.#resetAt]!);
    this.#resets[this.#resetAt] = id;
    this.#resetAt = (this.#resetAt + 1) % REMEMBERED_RESETS;
  }

  /** What a stream was that is not open now. */
  past(id: number, server: boolean): Past {
    const peers = ((id & 1) === 1) === server;
    if (peers ? id > this.lastPeerId : server || id >= this.nextLocalId) return 'idle';
    if (id <= this.#forgotten || this.#resets.includes(id)) return 'reset';
    for (let i = 0; i < this.#gaps.length; i += 2)
      if (id >= this.#gaps[i]! && id <= this.#gaps[i + 1]!) return 'skipped';
    return 'ended';
  }
}
