// SPDX-License-Identifier: Apache-2.0
// Numbers as the bigints that system calls take, kept: making a bigint costs 24 bytes of garbage, looking one up costs nothing.

/** Descriptors (20,000 at most on the machines this runs on), flags and most lengths lie below. */
const KEPT = 32_768;
const table: bigint[] = [];
for (let n = 0; n < 256; n++) table.push(BigInt(n));

/** The bigint of an integer; a negative one sign-extended to 64 bits, as C does it. Hot. */
export function big(value: number): bigint {
  if (value >= 0 && value < table.length) return table[value]!;
  // Of what is known to have 32 bits V8 makes a register, and no bigint: 17 and 38 ns with the call.
  if (value >= KEPT && value === (value | 0)) return BigInt.asUintN(64, BigInt(value | 0));
  return make(value);
}

function make(value: number): bigint {
  if (value < 0 || value >= KEPT) return BigInt.asUintN(64, BigInt(value));
  // The table stays dense, so that reading it is one load.
  while (table.length <= value) table.push(BigInt(table.length));
  return table[value]!;
}
