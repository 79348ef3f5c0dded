// SPDX-License-Identifier: Apache-2.0
// The flight recorder: the last events of one data-plane process, in shared memory, so that they can be read after it died of
// a signal that leaves no message. An entry is five words; writing one is a few stores. Kinds are the program's numbers and names.
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

const ENTRY_WORDS = 8;
const NEXT = 0;

/** One event: when (monotonic ms of the writer), what, and three numbers of its kind. */
export interface RecordedEvent {
  readonly atMs: number;
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export class Recorder {
  readonly fd: number;
  readonly #capacity: number;
  readonly #header: Int32Array;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;

  private constructor(region: Region) {
    this.fd = region.fd;
    const { buffer, byteOffset } = region.arena.bytes;
    const room = Math.floor((region.arena.size - HEADER_BYTES) / (ENTRY_WORDS * 4));
    this.#capacity = 2 ** Math.floor(Math.log2(room));
    this.#header = new Int32Array(buffer, byteOffset + 32, 1);
    this.#ints = new Int32Array(buffer, byteOffset + HEADER_BYTES, this.#capacity * ENTRY_WORDS);
    this.#doubles = new Float64Array(buffer, byteOffset + HEADER_BYTES, (this.#capacity * ENTRY_WORDS) / 2);
  }

  /** `entries`: how many events it remembers, rounded down to a power of two. */
  static create(entries = 1024): Recorder {
    return new Recorder(createRegion('recorder', entries * ENTRY_WORDS * 4));
  }

  static open(fd: number, options: { readonly writable: boolean }): Recorder {
    return new Recorder(openRegion('recorder', fd, options));
  }

  /** Notes an event. Hot. `kind` is above 0; numbers are taken as 32 bits. */
  note(atMs: number, kind: number, a: number, b = 0, c = 0): void {
    const next = this.#header[NEXT]!;
    const entry = next & (this.#capacity - 1);
    const at = entry * ENTRY_WORDS;
    this.#ints[at + 2] = 0;
    this.#doubles[entry * (ENTRY_WORDS / 2)] = atMs;
    this.#ints[at + 3] = a;
    this.#ints[at + 4] = b;
    this.#ints[at + 5] = c;
    Atomics.store(this.#ints, at + 2, kind);
    Atomics.store(this.#header, NEXT, (next + 1) | 0);
  }

  /** The last `count` events, oldest first; one that was being written is left out. */
  last(count: number): RecordedEvent[] {
    const next = Atomics.load(this.#header, NEXT);
    const found: RecordedEvent[] = [];
    for (let back = Math.min(count, this.#capacity); back >= 1; back--) {
      const entry = (next - back) & (this.#capacity - 1);
      const at = entry * ENTRY_WORDS;
      const kind = Atomics.load(this.#ints, at + 2);
      if (kind === 0) continue;
      const [a, b, c] = [this.#ints[at + 3]!, this.#ints[at + 4]!, this.#ints[at + 5]!];
      found.push({ atMs: this.#doubles[entry * (ENTRY_WORDS / 2)]!, kind, a, b, c });
    }
    return found;
  }
}

/** Events as one text for a log: "turn(3,0,0) accept(17,0,0)", with the names of their kinds. */
export function formatEvents(events: readonly RecordedEvent[], names: Readonly<Record<number, string>>): string {
  return events.map(({ kind, a, b, c }) => `${names[kind] ?? kind}(${a},${b},${c})`).join(' ');
}
