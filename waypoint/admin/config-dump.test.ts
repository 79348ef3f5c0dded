// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { withoutKeys } from './config-dump.ts';

test('private keys are not shown, wherever they stand', () => {
  const chain = new Uint8Array([1]);
  const given = {
    upstreams: [{ tls: { privateKey: new Uint8Array([2]), clientCertificate: chain } }],
    listeners: [{ tls: { certificates: [{ chain, key: new Uint8Array([3]) }] } }],
    policy: { key: 'shop/x' },
    none: { privateKey: new Uint8Array(0) },
  };
  deepEqual(withoutKeys(given), {
    upstreams: [{ tls: { privateKey: 'not shown', clientCertificate: 'AQ==' } }],
    listeners: [{ tls: { certificates: [{ chain: 'AQ==', key: 'not shown' }] } }],
    policy: { key: 'shop/x' },
    none: { privateKey: '' },
  });
});
