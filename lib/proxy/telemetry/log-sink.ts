// SPDX-License-Identifier: Apache-2.0
// Where access log lines leave the process: gathered and written in few large writes. What standard output does not take in time
// is dropped and counted, so that a stuck log reader never stops certificates or the mesh.
import { writeSync } from 'node:fs';

const FLUSH_BYTES = 64 * 1024;
/** Kept when standard output is full; beyond it lines are dropped. */
const MAX_KEPT_BYTES = 4 << 20;

export class LogSink {
  dropped = 0;
  readonly #write: (text: string) => number;
  #parts: string[] = [];
  #bytes = 0;
  #kept = '';
  #scheduled = false;

  /** `write` returns how many bytes it took, fewer when it would block. */
  constructor(write: (text: string) => number = writeStdout) {
    this.#write = write;
  }

  /** One whole line with its newline. */
  line(text: string): void {
    if (this.#kept.length + this.#bytes > MAX_KEPT_BYTES) {
      this.dropped++;
      return;
    }
    this.#parts.push(text);
    this.#bytes += text.length;
    if (this.#bytes >= FLUSH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  flush(): void {
    const text = this.#kept + this.#parts.join('');
    this.#parts = [];
    this.#bytes = 0;
    if (text === '') return;
    const taken = this.#write(text);
    this.#kept = Buffer.from(text).subarray(taken).toString();
  }
}

function writeStdout(text: string): number {
  const bytes = Buffer.from(text);
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(1, bytes, done);
  } catch (error) {
    // Full: the rest waits for the next line. Closed: nobody reads, nothing to keep.
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return bytes.length;
  }
  return done;
}
