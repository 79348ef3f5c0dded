// SPDX-License-Identifier: Apache-2.0
// Whoever signs workloads' certificates: our own authority, or one outside.

import type { Authority, LeafRequest } from '#lib/identity/authority.ts';

export interface SigningRequest extends LeafRequest {
  /** The workload's request, and the URIs it names: for signers that go by them. */
  readonly csrPem: string;
  readonly csrUris: readonly string[];
  /** Who is to sign, where several may; the default is the one that istiod is set to. */
  readonly signerName?: string;
}

export interface Signer {
  /** What its certificates are verified by; PEM. */
  readonly rootPem: string;
  /** The chain in PEM: leaf, intermediates, root bundle. */
  sign(request: SigningRequest, now: number): Promise<string[]>;
}

/** Our own authority, which may be replaced while it is used. */
export function authoritySigner(authority: () => Authority): Signer {
  return {
    get rootPem() {
      return authority().material.rootPem;
    },
    sign: (request, now) => authority().sign(request, now),
  };
}
