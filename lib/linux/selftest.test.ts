// SPDX-License-Identifier: Apache-2.0
// The self-test must hold on this machine, and must notice each value of the layout table when it is wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Abi } from './abi/abi.ts';
import { arm64 } from './abi/arm64.ts';
import { abi } from './abi/current.ts';
import { x64 } from './abi/x64.ts';
import { assertGround, proveGround } from './selftest.ts';

type Path = readonly [group: string, field: string];

function paths(table: Abi): Path[] {
  const found: Path[] = [];
  for (const [group, value] of Object.entries(table)) {
    if (typeof value === 'object') for (const field of Object.keys(value)) found.push([group, field]);
  }
  return found;
}

function damaged(table: Abi, [group, field]: Path, change: (value: number) => number): Abi {
  const copy = structuredClone(table) as unknown as Record<string, Record<string, number>>;
  copy[group]![field] = change(copy[group]![field]!);
  return copy as unknown as Abi;
}

test('trap 26: the self-test passes with the right table', () => {
  assert.deepEqual(proveGround(abi), []);
  assert.doesNotThrow(assertGround);
});

for (const path of paths(abi)) {
  for (const [name, change] of [
    ['one more', (value: number) => value + 1],
    ['four more', (value: number) => value + 4],
    ['doubled', (value: number) => value * 2 || 8],
  ] as const) {
    test(`trap 26: the self-test notices ${path.join('.')} being ${name}`, () => {
      const failures = proveGround(damaged(abi, path, change));
      assert.notDeepEqual(failures, [], `nothing was noticed`);
      assert.deepEqual(proveGround(abi), [], 'and the right table still passes');
    });
  }
}

test('trap 26: the self-test notices the table of the other architecture', () => {
  const other = abi === x64 ? arm64 : x64;
  assert.ok(proveGround(other).length > 0);
});

test('trap 26: both tables describe the same fields', () => {
  assert.deepEqual(paths(arm64), paths(x64));
});
