// SPDX-License-Identifier: Apache-2.0
// Numbers as the bigints that system calls take, kept: making a bigint costs 24 bytes of garbage, looking one up costs nothing.

/** Descriptors (20,000 at most on the machines this runs on), flags and most lengths lie below. */
const KEPT = 32_768;
const table: bigint[] = [];
for (let n = 0; n < 256; n++) table.push(BigInt(n));

/** Of larger numbers the last of each place, which is by their high bits: buffers are asked for whole, so few sizes come again and again. */
const PLACES = 64;
const PLACE_SHIFT = 12;
const large: number[] = new Array<number>(PLACES).fill(0);
const largeBig: bigint[] = new Array<bigint>(PLACES).fill(0n);
/** What failed calls return. */
const MINUS_ONE = BigInt.asUintN(64, -1n);

/** The bigint of an integer; a negative one sign-extended to 64 bits, as C does it. Hot. */
export function big(value: number): bigint {
  if (value >= 0 && value < table.length) return table[value]!;
  if (value === -1) return MINUS_ONE;
  const place = (value >>> PLACE_SHIFT) & (PLACES - 1);
  if (large[place] === value) return largeBig[place]!;
  return make(value);
}

function make(value: number): bigint {
  if (value < 0) return BigInt.asUintN(64, BigInt(value));
  if (value >= KEPT) {
    const place = (value >>> PLACE_SHIFT) & (PLACES - 1);
    large[place] = value;
    largeBig[place] = BigInt(value);
    return largeBig[place];
  }
  // The table stays dense, so that reading it is one load.
  while (table.length <= value) table.push(BigInt(table.length));
  return table[value]!;
}
