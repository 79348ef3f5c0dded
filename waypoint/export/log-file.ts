// SPDX-License-Identifier: Apache-2.0
// An access log in a file of its own: appended to, and opened again by name now and then, so that a rotated file is let go.
import { open } from 'node:fs/promises';
import type { Clock } from '#lib/kit/clock.ts';

const FLUSH_MS = 1000;
/** Kept while the file cannot be written; beyond it lines are dropped. */
const MAX_KEPT = 4 << 20;

export class LogFile {
  written = 0;
  dropped = 0;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  #lines: string[] = [];
  #length = 0;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(path: string, clock: Clock, onError: (error: unknown) => void) {
    this.#path = path;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** One whole line with its newline. */
  line(text: string): void {
    if (this.#length > MAX_KEPT) {
      this.dropped++;
      return;
    }
    this.#lines.push(text);
    this.#length += text.length;
    this.#cancel ??= this.#clock.after(FLUSH_MS, () => this.#flush());
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    this.#cancel?.();
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    this.#cancel = undefined;
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    const lines = this.#lines;
    if (lines.length === 0) return;
    const length = this.#length;
    this.#lines = [];
    try {
      const file = await open(this.#path, 'a');
      try {
        await file.write(lines.join(''));
      } finally {
        await file.close();
      }
      this.#length -= length;
      this.written += lines.length;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#onError(error);
      this.#failing = true;
      this.#lines = [...lines, ...this.#lines];
    }
  }
}
