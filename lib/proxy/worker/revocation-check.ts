// SPDX-License-Identifier: Apache-2.0
// The revocation lists a data-plane process goes by; main delivers them, all of them each time.
import type { PeerIdentity } from '#lib/tls/peer.ts';
import { Revocations } from '#lib/tls/revocation.ts';
import { readCrl } from '#lib/wire/crl.ts';

/** What is told of a peer whose certificate was taken back. */
export const REVOKED = 'connection closed: peer certificate revoked by CRL';

export class RevocationCheck {
  readonly #now: () => number;
  #lists = new Revocations([]);

  /** `now` is wall-clock ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes lists in DER over; what main found unusable does not come. */
  put(lists: readonly Uint8Array[]): void {
    this.#lists = new Revocations(
      lists.flatMap((der) => {
        const list = readCrl(der);
        return list.ok ? [list.value] : [];
      }),
    );
  }

  revoked({ links }: PeerIdentity): boolean {
    return !this.#lists.empty && this.#lists.revoked(links, this.#now());
  }
}
