// SPDX-License-Identifier: Apache-2.0
// Who calls, once it is proven, and what may become of proving it.

import type { Identity } from '#lib/mesh/identity.ts';

/** A caller that has proven a service account. */
export interface Caller {
  readonly identity: Identity;
  /** Name and UID of the pod the token is bound to; undefined for a token that is not, and for a certificate. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
  /** The remote cluster that knows the token; absent for our own. */
  readonly cluster?: string;
}

export type Authentication =
  | { readonly kind: 'known'; readonly caller: Caller }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** What a gateway that ended the caller's TLS says of it. */
export interface Forwarded {
  /** Value of the header; empty when there is none. */
  readonly header: string;
  /** `address:port` of whom the call came from. */
  readonly remote: string;
}

/** What a caller shows. */
export interface Credentials {
  /** Value of `authorization`; empty when there is none. */
  readonly authorization: string;
  /** Value of `clusterid`; empty when there is none. */
  readonly cluster: string;
  /** The client's certificate, DER, verified by TLS; undefined without a valid one. */
  readonly certificate: Uint8Array | undefined;
  /** What a gateway before us says of the client. */
  readonly forwarded?: Forwarded;
}
