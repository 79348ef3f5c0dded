// SPDX-License-Identifier: Apache-2.0
// The two identities most TLS tests use, and contexts for them.
import { TlsContext, type TlsContextOptions } from '#lib/tls/context.ts';
import { createTestCa, type TestCa, type TestIdentity } from './certificates.ts';

export const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
export const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';

export interface TlsMaterial {
  readonly ca: TestCa;
  readonly cart: TestIdentity;
  readonly orders: TestIdentity;
  context(identity: TestIdentity, extra?: Partial<TlsContextOptions>): TlsContext;
}

export async function createTlsMaterial(): Promise<TlsMaterial> {
  const ca = await createTestCa();
  return {
    ca,
    cart: await ca.issue(CART),
    orders: await ca.issue(ORDERS),
    context: (identity, extra = {}) =>
      TlsContext.create({
        certificateChainPem: identity.chainPem,
        privateKeyPem: identity.keyPem,
        rootsPem: ca.rootPem,
        alpn: 'h2',
        ...extra,
      }),
  };
}
