// SPDX-License-Identifier: Apache-2.0
// What makes the calls fast, and what would silently make them slow again.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { big } from './big.ts';
import { ffi } from './ffi.ts';
import { TABLE } from './table.ts';

const SCRIPT = fileURLToPath(new URL('./testdata/steady-load.ts', import.meta.url));

test('trap 22: every function of two or more arguments comes bare, without a checking wrapper', () => {
  const { functions } = ffi.dlopen(null, TABLE);
  for (const [name, signature] of Object.entries(TABLE)) {
    if (signature.arguments.length < 2) continue;
    const text = functions[name as keyof typeof TABLE].toString();
    assert.match(text, /\[native code\]/, `${name} is wrapped`);
  }
});

test('the table stays under 80 functions', () => {
  assert.ok(Object.keys(TABLE).length < 80);
});

test('numbers become the bigints that C would make of them, and small ones are kept', () => {
  for (const value of [0, 1, 255, 256, 20_000, 32_767, 32_768, 2 ** 31 - 1, 2 ** 32 - 1])
    assert.equal(big(value), BigInt(value));
  assert.equal(big(-1), 0xffffffffffffffffn);
  assert.equal(big(-2147483648), 0xffffffff80000000n);
});

test('trap 22: under steady load nothing is deoptimised once warm', () => {
  // Code is optimised when it is due, not when another thread gets round to it.
  const flags = ['--disable-warning=ExperimentalWarning', '--trace-deopt', '--no-concurrent-recompilation'];
  const { stdout, status } = spawnSync(process.execPath, [...flags, SCRIPT, '100000'], {
    encoding: 'utf8',
    timeout: 150_000,
  });
  assert.equal(status, 0);
  const steady = stdout.split('WARM\n')[1] ?? '';
  assert.ok(steady.includes('DONE'), 'the load ran');
  // The script's own top level, a function without a name, leaves its loop at the end.
  const lines = steady.split('\n').filter((line) => /bailout .*<JSFunction \S+ \(/.test(line));
  assert.deepEqual(lines, []);
});

test('trap 5: under a profiler that interrupts all the time, calls report their own errno', () => {
  const flags = [
    '--disable-warning=ExperimentalWarning',
    '--cpu-prof',
    '--cpu-prof-interval=100',
    '--cpu-prof-dir=/tmp',
  ];
  const name = `ambit-trap5-${process.pid}.cpuprofile`;
  const child = spawnSync(process.execPath, [...flags, `--cpu-prof-name=${name}`, SCRIPT, '20000', 'errno'], {
    encoding: 'utf8',
    timeout: 150_000,
  });
  spawnSync('rm', ['-f', `/tmp/${name}`]);
  assert.equal(child.status, 0, child.stderr);
  const { interrupted, wrong, calls } = JSON.parse(child.stdout.split('DONE ')[1]!) as Record<string, number>;
  assert.ok(interrupted! > 0, `waits were interrupted (${interrupted})`);
  assert.equal(calls, 20_000);
  assert.equal(wrong, 0);
});
