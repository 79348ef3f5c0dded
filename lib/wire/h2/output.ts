// SPDX-License-Identifier: Apache-2.0
// Where the engine's own bytes go. The shell around a connection owns the memory: it may lend a worker's staging
// arena for one turn, or a small buffer of the connection's own. DATA frames are written there by the shell itself.

/**
 * A cursor into memory that is being filled: frames are appended at `offset`, never beyond `limit`. All three fields
 * may change whenever the shell likes between two calls into the engine (after a flush, with another arena), and within
 * `reserve`; bytes that were appended must reach the peer in order.
 */
export interface OutputBuffer {
  buffer: Buffer;
  offset: number;
  limit: number;
  /**
   * Asks for room for `bytes` more at `offset`, because `limit` is too near: seal and swap, or grow. Returns false if
   * that much cannot be had; the engine then ends the connection, for a peer that does not read its answers.
   */
  reserve(bytes: number): boolean;
  /** Something was appended that wants to be flushed at the end of the turn. */
  markDirty(): void;
}

/** An output that grows up to a limit: for tests, for small shells, and for the frames of a connection that cannot be written now. */
export class GrowingOutput implements OutputBuffer {
  buffer: Buffer = Buffer.alloc(0);
  offset = 0;
  limit = 0;
  dirty = false;
  readonly #maxBytes: number;

  constructor(maxBytes: number = 1 << 20) {
    this.#maxBytes = maxBytes;
  }

  reserve(bytes: number): boolean {
    const wanted = this.offset + bytes;
    if (wanted > this.#maxBytes) return false;
    if (wanted <= this.limit) return true;
    const next = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(1024, wanted, this.limit * 2)));
    this.buffer.copy(next, 0, 0, this.offset);
    this.buffer = next;
    this.limit = next.length;
    return true;
  }

  markDirty(): void {
    this.dirty = true;
  }

  /** Takes everything that was appended and lets go of the memory. */
  take(): Buffer {
    const bytes = this.buffer.subarray(0, this.offset);
    this.buffer = Buffer.alloc(0);
    this.offset = this.limit = 0;
    this.dirty = false;
    return bytes;
  }
}
