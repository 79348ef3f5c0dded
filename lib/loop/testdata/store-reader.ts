// SPDX-License-Identifier: Apache-2.0
// Looks keys up in the store at descriptor 3 until it has seen enough, a minute at most; exit code 1 when a value is torn or a key that stays is missed.
import { FOUND, StoreReader } from '../shared/store-reader.ts';

const reader = StoreReader.open(3);
const keys = Array.from({ length: 500 }, (_, n) => Buffer.from(`stays/${n}`));
const versions = new Set<number>();
let lookups = 0;
let longestMs = 0;
const end = performance.now() + 60_000;
const ENOUGH = { lookups: 100_000, versions: 20 };

function fail(what: string): never {
  console.log(what);
  process.exit(1);
}

while ((lookups < ENOUGH.lookups || versions.size < ENOUGH.versions) && performance.now() < end) {
  for (const [n, key] of keys.entries()) {
    const start = performance.now();
    if (reader.get(key, key.length) !== FOUND) fail(`stays/${n} was missed`);
    longestMs = Math.max(longestMs, performance.now() - start);
    if (reader.valueLength !== 100 + n) fail(`stays/${n} has ${reader.valueLength} bytes`);
    for (let at = 0; at < reader.valueLength; at++) if (reader.value[at] !== (n & 255)) fail(`stays/${n} is torn`);
    lookups++;
  }
  for (const [key, value] of reader.entries('comes/')) {
    if (value.toString() !== key.repeat(3)) fail(`${key} is torn`);
  }
  versions.add(reader.version);
}
console.log(JSON.stringify({ lookups, longestMs, versions: versions.size }));
