// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { coversHost, judgeServer } from './server-name.ts';

test('a star stands for one whole label, and never for a name without a domain', () => {
  const cases: [pattern: string, host: string, covered: boolean][] = [
    ['a.example', 'A.Example', true],
    ['a.example', 'a.example.', true],
    ['*.a.example', 'b.a.example', true],
    ['*.a.example', 'c.b.a.example', false],
    ['*.a.example', 'a.example', false],
    ['*.a.example', '.a.example', false],
    ['*.example', 'a.example', false],
    ['b*.a.example', 'bc.a.example', false],
    ['*.*.example', 'a.b.example', false],
    ['*', 'a', false],
    ['', '', false],
  ];
  deepEqual(
    cases.map(([pattern, host]) => coversHost(pattern, host)),
    cases.map(([, , covered]) => covered),
  );
});

test('nobody is believed without a chain or without a name that was asked for', async () => {
  const ca = await createTestCa();
  const { chainPem } = await ca.issue([{ type: 'dns', value: 'a.example' }]);
  const chain = pemBlocks(chainPem, 'CERTIFICATE');
  equal(judgeServer(chain, ['b.example', 'a.example'], undefined, 0), '');
  match(judgeServer([], ['a.example'], undefined, 0), /sent no certificate/);
  match(judgeServer(chain, [], undefined, 0), /certificate is for a.example/);
  match(judgeServer(chain, ['https://a.example'], undefined, 0), /expected https:/);
  match(judgeServer([new Uint8Array([1, 2, 3])], ['a.example'], undefined, 0), /cannot be read/);
});
