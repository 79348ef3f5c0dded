// SPDX-License-Identifier: Apache-2.0
// The chain by which OpenSSL verified the peer of a session.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { verifyErrorText } from './errors.ts';
import { Cell, OUT, openssl, setOutPointer } from './openssl.ts';

const MAX_CHAIN = 8;

/** X509_V_OK. */
const VERIFIED = 0n;

/** Why the peer's chain did not hold; '' when it did, or when there was none to verify. */
export function verifyFailure(ssl: bigint): string {
  const verdict = openssl.SSL_get_verify_result(ssl);
  return verdict === VERIFIED ? '' : verifyErrorText(verdict);
}

/** DER, leaf first, up to the trusted root; a refusal names what is wrong with it. */
export function verifiedChain(ssl: bigint): Result<readonly Uint8Array[]> {
  const failure = verifyFailure(ssl);
  if (failure !== '') return fail({ field: 'certificate', message: failure });
  const chain = openssl.SSL_get0_peer_certificate(ssl) === 0n ? [] : chainOf(ssl);
  return chain.length === 0 ? fail({ field: 'certificate', message: 'the peer sent no certificate' }) : ok(chain);
}

/** Empty when a certificate cannot be written out. */
function chainOf(ssl: bigint): Uint8Array[] {
  const stack = openssl.SSL_get0_verified_chain(ssl);
  const count = stack === 0n ? 0 : openssl.OPENSSL_sk_num(stack);
  const chain: Uint8Array[] = [];
  for (let i = 0; i < count && i < MAX_CHAIN; i++) {
    const certificate = openssl.OPENSSL_sk_value(stack, i);
    const length = openssl.i2d_X509(certificate, 0n);
    if (length <= 0) return [];
    const cell = new Cell(length);
    setOutPointer(cell.pointer);
    openssl.i2d_X509(certificate, OUT);
    chain.push(cell.bytes);
  }
  return chain;
}
