// SPDX-License-Identifier: Apache-2.0
// The built-in test authority of FAKE_CA: every program that asks for it gets the same key, so that two proxies without a
// control plane trust each other. The key is derived from a public text: whoever reads this line can sign with it. Programs
// that use it say so loudly.
import { createECDH, createHash, createPrivateKey, webcrypto } from 'node:crypto';
import { Authority } from './authority.ts';
import { P256, type SigningKey, signingKeyFromPem } from './key.ts';
import { x509 } from './x509.ts';

const SEED = 'ambit test authority: never trust this';
const BEGIN = Date.UTC(2026, 0, 1);
const END = Date.UTC(2046, 0, 1);

/** The authority, made anew in each process; equal name and key make it equal for every verifier. */
export async function createTestAuthority(): Promise<Authority> {
  const scalar = createHash('sha256').update(SEED).digest();
  const point = createECDH('prime256v1');
  point.setPrivateKey(scalar);
  const raw = point.getPublicKey();
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: scalar.toString('base64url'),
    x: raw.subarray(1, 33).toString('base64url'),
    y: raw.subarray(33).toString('base64url'),
  };
  const keyPem = createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }) as string;
  const signing: SigningKey = await signingKeyFromPem(keyPem);
  const { d: _, ...publicJwk } = jwk;
  const publicKey = await webcrypto.subtle.importKey('jwk', publicJwk, P256, true, ['verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: [{ O: ['ambit test authority'] }],
    keys: { privateKey: signing.key, publicKey },
    signingAlgorithm: signing.algorithm,
    notBefore: new Date(BEGIN),
    notAfter: new Date(END),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  const certificatePem = `${certificate.toString('pem')}\n`;
  return Authority.load({ certificatePem, keyPem, chainPem: '', rootPem: certificatePem });
}
