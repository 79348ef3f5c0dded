// SPDX-License-Identifier: Apache-2.0
//
// JSON Web Keys (RFC 7517) and the signatures they verify (RFC 7518), by Node's own crypto and without a promise: a
// data-plane loop asks for them. A key says by its type what it may verify, so that no token chooses a weaker way.

import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { table } from '#lib/kit/table.ts';

interface JsonWebKey {
  readonly kty?: string;
  readonly kid?: string;
  readonly alg?: string;
  readonly crv?: string;
  readonly k?: string;
  readonly use?: string;
}

interface VerifyingKey {
  readonly kid: string | undefined;
  /** Algorithms this key may verify. */
  readonly algorithms: readonly string[];
  readonly verify: (algorithm: string, data: Buffer, signature: Buffer) => boolean;
}

const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const CURVES = table<string>({ 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' });
const HMAC = ['HS256', 'HS384', 'HS512'];

export const ALGORITHMS: readonly string[] = [...RSA, ...Object.values(CURVES), ...HMAC, 'EdDSA'];

function digestOf(algorithm: string): string {
  return `sha${algorithm.slice(2)}`;
}

function verifiesRsa(key: KeyObject, algorithm: string, data: Buffer, signature: Buffer): boolean {
  if (algorithm.startsWith('RS')) return verify(digestOf(algorithm), data, key, signature);
  // RSA_PKCS1_PSS_PADDING, with a salt as long as the digest (RFC 7518 section 3.5).
  return verify(digestOf(algorithm), data, { key, padding: 6, saltLength: Number(algorithm.slice(2)) / 8 }, signature);
}

/** A signature of a form that the key cannot have verifies nothing. */
function safely(check: VerifyingKey['verify']): VerifyingKey['verify'] {
  return (algorithm, data, signature) => {
    try {
      return check(algorithm, data, signature);
    } catch {
      return false;
    }
  };
}

function keyOf(jwk: JsonWebKey): VerifyingKey | undefined {
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined;
  const { alg, crv = '', kid, kty } = jwk;
  const only = (algorithms: readonly string[]): readonly string[] =>
    alg === undefined ? algorithms : algorithms.filter((one) => one === alg);
  if (kty === 'oct') {
    const secret = Buffer.from(jwk.k ?? '', 'base64url');
    if (secret.length === 0) return undefined;
    return {
      kid,
      algorithms: only(HMAC),
      verify: (algorithm, data, signature) => {
        const wanted = createHmac(digestOf(algorithm), secret).update(data).digest();
        return wanted.length === signature.length && timingSafeEqual(wanted, signature);
      },
    };
  }
  const key = createPublicKey({ key: jwk as Record<string, unknown>, format: 'jwk' });
  if (kty === 'RSA') {
    return { kid, algorithms: only(RSA), verify: (algorithm, data, sig) => verifiesRsa(key, algorithm, data, sig) };
  }
  if (kty === 'EC' && CURVES[crv] !== undefined) {
    return {
      kid,
      algorithms: only([CURVES[crv]]),
      verify: (algorithm, data, sig) => verify(digestOf(algorithm), data, { key, dsaEncoding: 'ieee-p1363' }, sig),
    };
  }
  if (kty === 'OKP')
    return { kid, algorithms: only(['EdDSA']), verify: (_alg, data, sig) => verify(null, data, key, sig) };
  return undefined;
}

/** A key set, read once. Keys that cannot be used are left out. */
export class KeySet {
  readonly #keys: readonly VerifyingKey[];

  constructor(jwks: string) {
    this.#keys = parseKeys(jwks);
  }

  get empty(): boolean {
    return this.#keys.length === 0;
  }

  /** Keys that may have signed: those of the id when the token names one. */
  candidates(kid: string | undefined, algorithm: string): readonly VerifyingKey[] {
    return this.#keys.filter(
      (key) => key.algorithms.includes(algorithm) && (kid === undefined || key.kid === undefined || key.kid === kid),
    );
  }
}

function parseKeys(jwks: string): VerifyingKey[] {
  try {
    const { keys } = JSON.parse(jwks) as { keys?: unknown };
    if (!Array.isArray(keys)) return [];
    return keys.flatMap((jwk: JsonWebKey) => {
      try {
        const key = keyOf(jwk);
        return key === undefined ? [] : { ...key, verify: safely(key.verify) };
      } catch {
        // One key of a kind that Node does not know does not spoil the set.
        return [];
      }
    });
  } catch {
    return [];
  }
}
