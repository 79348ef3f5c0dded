// SPDX-License-Identifier: Apache-2.0
// Private keys of workloads and authorities: ECDSA P-256, made by Web Crypto, kept in memory and written as PKCS#8 PEM.
import { createPrivateKey, webcrypto } from 'node:crypto';
import { AmbitError } from '#lib/kit/error.ts';
import { decodePem, encodePem } from '#lib/wire/pem.ts';

export const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export type KeyPair = webcrypto.CryptoKeyPair;
export type PublicKey = webcrypto.CryptoKey;

export async function generateKey(): Promise<KeyPair> {
  return (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as KeyPair;
}

/** PKCS#8 PEM of a private key. */
export async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  return encodePem('PRIVATE KEY', new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', key)));
}

/** A signing key of an authority and the algorithm it signs with. */
export interface SigningKey {
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash: string };
}

/**
 * Reads a private key for signing: P-256, P-384 or RSA, as PKCS#8, SEC1 or PKCS#1.
 * @throws AmbitError KEY_UNREADABLE
 */
export async function signingKeyFromPem(pem: string): Promise<SigningKey> {
  try {
    const key = createPrivateKey(pem);
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const curve = key.asymmetricKeyDetails?.namedCurve;
    if (key.asymmetricKeyType === 'rsa') return await importKey(der, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' });
    if (curve === 'prime256v1') return await importKey(der, P256);
    if (curve === 'secp384r1') return await importKey(der, { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' });
    throw new AmbitError(
      'KEY_UNREADABLE',
      `private key of type ${key.asymmetricKeyType} ${curve ?? ''} cannot sign here`,
    );
  } catch (cause) {
    if (cause instanceof AmbitError) throw cause;
    const blocks = decodePem(pem).map(({ label }) => label);
    throw new AmbitError('KEY_UNREADABLE', `private key cannot be read (PEM blocks: ${blocks.join(', ') || 'none'})`, {
      cause,
      advice: 'give an unencrypted P-256, P-384 or RSA key in PEM',
    });
  }
}

async function importKey(
  der: Buffer,
  algorithm: { name: string; hash: string; namedCurve?: string },
): Promise<SigningKey> {
  const key = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, true, ['sign']);
  return { key, algorithm: { name: algorithm.name, hash: algorithm.hash } };
}
