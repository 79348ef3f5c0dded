// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { forwardedFor } from './forwarded-for.ts';

test('the client is the address before those of trusted proxies, and nobody where there is no such address', () => {
  const cases: [value: string | undefined, skip: number, ip: string | undefined][] = [
    [undefined, 0, undefined],
    ['', 0, undefined],
    ['10.0.0.1', 0, '10.0.0.1'],
    ['10.0.0.1, 10.0.0.2', 0, '10.0.0.2'],
    ['10.0.0.1, 10.0.0.2', 1, '10.0.0.1'],
    ['10.0.0.1,10.0.0.2', 2, undefined],
    ['evil, 10.0.0.2', 1, undefined],
    ['unknown', 0, undefined],
    ['10.0.0.1,', 0, undefined],
    ['10.0.0.1:8080', 0, '10.0.0.1'],
    ['[2001:db8::1]:8080', 0, '2001:db8::1'],
    ['2001:db8::1', 0, '2001:db8::1'],
  ];
  deepEqual(
    cases.map(([value, skip]) => forwardedFor(value, skip)?.text),
    cases.map(([, , ip]) => ip),
  );
});
