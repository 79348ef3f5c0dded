// SPDX-License-Identifier: Apache-2.0
// Somebody who is shown an application's bytes as they pass. He must not write to them, nor keep them beyond the call.

export interface ByteTap {
  /** From the accepting side's application to the other; false: no more, please. */
  onOut(bytes: Buffer, start: number, end: number): boolean;
  onIn(bytes: Buffer, start: number, end: number): boolean;
  /** The connection is over. */
  onTapEnd(): void;
}

/** Two are shown the same bytes; an end of the one is none of the other. */
export function bothTaps(a: ByteTap | null, b: ByteTap | null): ByteTap | null {
  if (a === null || b === null) return a ?? b;
  let [first, second] = [true, true];
  return {
    onOut(bytes, start, end) {
      first &&= a.onOut(bytes, start, end);
      second &&= b.onOut(bytes, start, end);
      return first || second;
    },
    onIn(bytes, start, end) {
      first &&= a.onIn(bytes, start, end);
      second &&= b.onIn(bytes, start, end);
      return first || second;
    },
    onTapEnd() {
      a.onTapEnd();
      b.onTapEnd();
    },
  };
}
