// SPDX-License-Identifier: Apache-2.0
// Where access log lines leave the process: gathered and written in few large writes, as the bytes they came as. What standard output does
// not take in time is dropped and counted, so that a stuck log reader never stops certificates or the mesh.
import { writeSync } from 'node:fs';

const FLUSH_BYTES = 64 * 1024;
/** Kept when standard output is full; beyond it lines are dropped. */
const MAX_KEPT_BYTES = 4 << 20;
const NOTHING = Buffer.alloc(0);

export class LogSink {
  dropped = 0;
  readonly #write: (bytes: Buffer) => number;
  #buffer = NOTHING;
  /** What waits lies in `#buffer[0, #end)`. */
  #end = 0;
  /** Bytes that came since the last flush. */
  #fresh = 0;
  #scheduled = false;

  /** `write` returns how many bytes it took, fewer when it would block. */
  constructor(write: (bytes: Buffer) => number = writeStdout) {
    this.#write = write;
  }

  /** One whole line with its newline; it is copied. */
  line(bytes: Uint8Array): void {
    const end = this.#end + bytes.length;
    if (end > MAX_KEPT_BYTES) {
      this.dropped++;
      return;
    }
    if (end > this.#buffer.length) this.#grow(end);
    this.#buffer.set(bytes, this.#end);
    this.#end = end;
    this.#fresh += bytes.length;
    if (this.#fresh >= FLUSH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  flush(): void {
    this.#fresh = 0;
    if (this.#end === 0) return;
    const taken = this.#write(this.#buffer.subarray(0, this.#end));
    this.#buffer.copyWithin(0, taken, this.#end);
    this.#end -= taken;
    // What a stuck reader made it grow to is not kept for ever.
    if (this.#end === 0 && this.#buffer.length > 2 * FLUSH_BYTES) this.#buffer = NOTHING;
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * FLUSH_BYTES, 2 * bytes));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

function writeStdout(bytes: Buffer): number {
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(1, bytes, done);
  } catch (error) {
    // Full: the rest waits for the next line. Closed: nobody reads, nothing to keep.
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return bytes.length;
  }
  return done;
}
