// SPDX-License-Identifier: Apache-2.0
// Looks over a fuzzer's shoulder from a thread of its own: an input that keeps its target busy for too long is written
// into the corpus, and the process ends, since nothing else can stop a loop that never returns.
import { Worker } from 'node:worker_threads';

/** Longest input that is remembered, octets. */
const ROOM = 64 * 1024;

const WATCH = `
const { workerData: { shared, corpus, hangMs, name } } = require('node:worker_threads');
const { mkdirSync, writeFileSync, writeSync } = require('node:fs');
const words = new Int32Array(shared, 0, 2);
const bytes = new Uint8Array(shared, 8);
let seen = -1;
let since = Date.now();
setInterval(() => {
  const count = Atomics.load(words, 0);
  if (count !== seen) { seen = count; since = Date.now(); return; }
  if (Date.now() - since < hangMs) return;
  mkdirSync(corpus, { recursive: true });
  const file = corpus + '/hang-' + process.pid;
  writeFileSync(file, bytes.slice(0, Atomics.load(words, 1)));
  writeSync(2, name + ': no end within ' + hangMs + ' ms, see ' + file + '\\n');
  process.kill(process.pid, 'SIGKILL');
}, hangMs / 10);
`;

export class FuzzWatch {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #worker: Worker;

  /** @param hangMs what no input may take */
  constructor(name: string, corpus: string, hangMs: number) {
    const shared = new SharedArrayBuffer(8 + ROOM);
    this.#words = new Int32Array(shared, 0, 2);
    this.#bytes = new Uint8Array(shared, 8);
    this.#worker = new Worker(WATCH, { eval: true, workerData: { shared, corpus, hangMs, name } });
    this.#worker.unref();
  }

  /** `input` is the next. */
  next(input: Uint8Array): void {
    const length = Math.min(input.length, ROOM);
    this.#bytes.set(length < input.length ? input.subarray(0, length) : input);
    this.#words[1] = length;
    Atomics.add(this.#words, 0, 1);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
