// SPDX-License-Identifier: Apache-2.0
// Whether a verified chain holds a revoked certificate. OpenSSL's own check refuses every chain without a fresh list for each of its
// issuers; here a list is a list of who is out: no list, or an expired one, says nothing.
import { createPublicKey, verify } from 'node:crypto';
import type { CertificateFacts } from '#lib/wire/certificate.ts';
import type { RevocationList } from '#lib/wire/crl.ts';

/** One certificate of a chain, and the key of the one above it. */
export interface ChainLink {
  /** DER of the issuer's name and of its public key, Latin-1 and base64. */
  readonly issuer: string;
  readonly issuerKey: string;
  readonly serial: string;
}

/** Of a verified chain, leaf first and root last: all but the root can be revoked. */
export function linksOf(chain: readonly CertificateFacts[]): ChainLink[] {
  return chain.slice(0, -1).map(({ issuer, serial }, i) => ({
    issuer: Buffer.from(issuer).toString('latin1'),
    issuerKey: Buffer.from(chain[i + 1]!.publicKey).toString('base64'),
    serial,
  }));
}

/** Digest of each signature algorithm that lists are signed with; null where the algorithm brings its own. */
const DIGESTS: Readonly<Record<string, string | null>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.3.101.112': null,
};

export class Revocations {
  readonly #byIssuer = new Map<string, RevocationList[]>();

  constructor(lists: readonly RevocationList[]) {
    for (const list of lists) {
      const issuer = Buffer.from(list.issuer).toString('latin1');
      this.#byIssuer.set(issuer, [...(this.#byIssuer.get(issuer) ?? []), list]);
    }
  }

  get empty(): boolean {
    return this.#byIssuer.size === 0;
  }

  /** Whether a list that is good at `now` (wall-clock ms) and signed by its issuer names one of `links`. */
  revoked(links: readonly ChainLink[], now: number): boolean {
    return links.some(({ issuer, issuerKey, serial }) =>
      (this.#byIssuer.get(issuer) ?? []).some(
        (list) =>
          list.serials.has(serial) &&
          (list.nextUpdate === undefined || list.nextUpdate > now) &&
          signedBy(list, issuerKey),
      ),
    );
  }
}

// Looked at only for a serial number that a list names: roots of one name and different keys follow each other.
function signedBy(list: RevocationList, issuerKey: string): boolean {
  const digest = DIGESTS[list.algorithm];
  if (digest === undefined) return false;
  try {
    const key = createPublicKey({ key: Buffer.from(issuerKey, 'base64'), format: 'der', type: 'spki' });
    return verify(digest, list.signed, key, list.signature);
  } catch {
    return false;
  }
}
