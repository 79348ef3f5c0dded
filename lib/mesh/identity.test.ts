// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Identity, parseIdentity, parsePrincipal } from './identity.ts';

test('an identity is read from exactly one form of URI', () => {
  const identity = parseIdentity('spiffe://cluster.local/ns/shop/sa/cart');
  assert.ok(identity);
  assert.ok(identity.equals(new Identity('cluster.local', 'shop', 'cart')));
  assert.equal(identity.uri, 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(identity.principal, 'cluster.local/ns/shop/sa/cart');
  assert.ok(parsePrincipal('td/ns/a/sa/b'));
  for (const uri of [
    'spiffe://cluster.local/ns/shop/sa/cart/',
    'spiffe://cluster.local/ns/shop/sa/',
    'spiffe:///ns/shop/sa/cart',
    'spiffe://cluster.local/sa/shop/ns/cart',
    'spiffe://cluster.local/ns/shop',
    'SPIFFE://cluster.local/ns/shop/sa/cart',
    'https://cluster.local/ns/shop/sa/cart',
    '',
  ]) {
    assert.equal(parseIdentity(uri), undefined, uri);
  }
});
