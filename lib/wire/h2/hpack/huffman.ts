// SPDX-License-Identifier: Apache-2.0
// The Huffman code of RFC 7541 appendix B. The code is canonical, so the lengths alone define it; decoding walks
// half-bytes through a table of 256 states, which costs two look-ups per octet and no branches per bit.

// Code lengths in bits of symbols 0 to 255 and of end-of-string (256).
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const END_OF_STRING = 256;
const EMITS = 1 << 16;
const FAILS = 1 << 17;

const bits = Uint8Array.from(LENGTHS);
const codes = assignCodes();
const { steps, complete } = buildDecoder();

function assignCodes(): Uint32Array {
  const order = LENGTHS.map((_, symbol) => symbol).sort((a, b) => bits[a]! - bits[b]! || a - b);
  const table = new Uint32Array(LENGTHS.length);
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    code = (code << (bits[symbol]! - length)) >>> 0;
    length = bits[symbol]!;
    table[symbol] = code++;
  }
  return table;
}

// A state is an inner node of the code tree. A step, for each state and half-byte: next state in bits 0 to 7, the
// symbol that got complete in bits 8 to 15, then the two marks.
function buildDecoder(): { steps: Int32Array; complete: Uint8Array } {
  const children: [number, number][] = [[0, 0]]; // > 0: inner node; < 0: -(symbol + 1)
  const depth: number[] = [0];
  const allOnes: boolean[] = [true];
  for (let symbol = 0; symbol <= END_OF_STRING; symbol++) {
    let node = 0;
    for (let bit = bits[symbol]! - 1; bit >= 0; bit--) {
      const branch = ((codes[symbol]! >>> bit) & 1) as 0 | 1;
      if (bit === 0) children[node]![branch] = -(symbol + 1);
      else if (children[node]![branch] === 0) {
        children[node]![branch] = children.length;
        depth.push(depth[node]! + 1);
        allOnes.push(allOnes[node]! && branch === 1);
        children.push([0, 0]);
        node = children.length - 1;
      } else node = children[node]![branch]!;
    }
  }
  const table = new Int32Array(children.length * 16);
  for (let state = 0; state < children.length; state++) {
    for (let half = 0; half < 16; half++) {
      let node = state;
      let step = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const next = children[node]![((half >>> bit) & 1) as 0 | 1];
        if (next >= 0) node = next;
        else {
          node = 0;
          const symbol = -next - 1;
          step |= symbol === END_OF_STRING ? FAILS : EMITS | (symbol << 8);
        }
      }
      table[state * 16 + half] = step | node;
    }
  }
  // RFC 7541 section 5.2: padding is at most 7 bits, all of them ones.
  return { steps: table, complete: Uint8Array.from(depth, (d, state) => (d < 8 && allOnes[state] ? 1 : 0)) };
}

/** Upper bound of what `length` encoded octets can decode to. */
export function decodedBound(length: number): number {
  return ((length * 8) / 5 + 1) | 0;
}

/**
 * Decodes `source[start, end)` into `target` from offset 0, which must have room for `decodedBound(end - start)`.
 * Returns the number of octets written, or -1 if the input contains end-of-string or bad padding.
 */
export function huffmanDecode(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0;
  let at = 0;
  for (let i = start; i < end; i++) {
    const octet = source[i]!;
    let step = steps[(state << 4) | (octet >>> 4)]!;
    if ((step & EMITS) !== 0) target[at++] = step >>> 8;
    if ((step & FAILS) !== 0) return -1;
    step = steps[((step & 255) << 4) | (octet & 15)]!;
    if ((step & EMITS) !== 0) target[at++] = step >>> 8;
    if ((step & FAILS) !== 0) return -1;
    state = step & 255;
  }
  return complete[state] === 1 ? at : -1;
}

/** Octets that `text` takes when encoded; -1 if it holds a character above 255. */
export function huffmanLength(text: string): number {
  let total = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) return -1;
    total += bits[code]!;
  }
  return (total + 7) >>> 3;
}

/** Encodes `text` (characters up to 255) into `target` at `offset`; returns the offset behind it. */
export function huffmanEncode(text: string, target: Uint8Array, offset: number): number {
  let at = offset;
  let pending = 0; // fewer than 8 bits wait in here
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    const code = codes[symbol]!;
    let length = bits[symbol]!;
    if (length > 16) {
      length -= 16;
      pending = (pending << length) | (code >>> 16);
      count += length;
      while (count >= 8) {
        count -= 8;
        target[at++] = pending >>> count;
      }
      pending &= (1 << count) - 1;
      length = 16;
    }
    pending = (pending << length) | (code & ((1 << length) - 1));
    count += length;
    while (count >= 8) {
      count -= 8;
      target[at++] = pending >>> count;
    }
    pending &= (1 << count) - 1;
  }
  if (count > 0) target[at++] = (pending << (8 - count)) | (0xff >>> count);
  return at;
}
