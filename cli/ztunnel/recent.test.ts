// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type RecentConnection, recentTable } from './recent.ts';

const ENDED: RecentConnection = {
  node: 'node-1',
  ended: '2026-01-02T03:04:05.678Z',
  direction: 'outbound',
  flag: '',
  error: 'http status: 401',
  durationMs: 7,
  src: '10.1.1.2:40000',
  srcWorkload: 'shop/cart-1',
  srcIdentity: '',
  dst: '10.1.1.3:15008',
  dstWorkload: '',
  dstService: 'shop/pay',
  proof: ['Service shop/pay: a step', '  another'],
};
const DENIED: RecentConnection = {
  ...ENDED,
  ...{ node: 'node-22', direction: 'inbound', dstWorkload: 'shop/pay-1', proof: [] },
  ...{ error: 'closed due to policy rejection', policy: 'shop/no-cart', rule: 1, clause: 'source principal x' },
};

test('connections of several nodes stand in one table, with what the other end’s answer means', () => {
  equal(
    recentTable([ENDED, DENIED, { ...ENDED, error: '' }], false),
    [
      'ENDED         NODE     DIRECTION  SOURCE       DESTINATION  DURATION  RESULT',
      '03:04:05.678  node-1   outbound   shop/cart-1  shop/pay     7ms       http status: 401 (denied by a policy at the other end)',
      '03:04:05.678  node-22  inbound    shop/cart-1  shop/pay-1   7ms       denied by shop/no-cart, rule 1: source principal x',
      '03:04:05.678  node-1   outbound   shop/cart-1  shop/pay     7ms       ok',
      '',
    ].join('\n'),
  );
});

test('with proofs each line keeps its columns, and what decided it stands below', () => {
  equal(
    recentTable([ENDED, DENIED], true),
    [
      'ENDED         NODE     DIRECTION  SOURCE       DESTINATION  DURATION  RESULT',
      '03:04:05.678  node-1   outbound   shop/cart-1  shop/pay     7ms       http status: 401 (denied by a policy at the other end)',
      '    Service shop/pay: a step',
      '      another',
      '03:04:05.678  node-22  inbound    shop/cart-1  shop/pay-1   7ms       denied by shop/no-cart, rule 1: source principal x',
      '    (no proof was kept)',
      '',
    ].join('\n'),
  );
});
