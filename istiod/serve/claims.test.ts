// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { claimedSubject } from './claims.ts';

const SUBJECT = 'system:serviceaccount:shop:cart';

test('what a token says of itself is told, whatever it is worth', () => {
  const plain = new UnsecuredJWT({ sub: SUBJECT }).encode();
  equal(claimedSubject(`Bearer ${plain}`), SUBJECT);
  const bound = new UnsecuredJWT({ sub: SUBJECT, 'kubernetes.io': { pod: { name: 'cart-1' } } }).encode();
  equal(claimedSubject(`Bearer ${bound}`), `${SUBJECT}, pod cart-1`);
});

test('what is no token says nothing, and a long name is cut', () => {
  for (const header of ['', 'Bearer ', 'Bearer a.b.c', 'Bearer nonsense', 'Basic x'])
    equal(claimedSubject(header), undefined);
  for (const claims of [{}, { sub: SUBJECT, 'kubernetes.io': 5 }, { sub: SUBJECT, 'kubernetes.io': { pod: null } }]) {
    const said = claimedSubject(`Bearer ${new UnsecuredJWT(claims).encode()}`);
    equal(said, 'sub' in claims ? SUBJECT : undefined);
  }
  equal(claimedSubject(`Bearer ${new UnsecuredJWT({ sub: 'x'.repeat(10_000) }).encode()}`)?.length, 80);
});
