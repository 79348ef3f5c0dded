// SPDX-License-Identifier: Apache-2.0
// A certificate authority for tests that also issues what no honest one would: hostile leaves for verification tests.
import { webcrypto } from 'node:crypto';
import { keyToPem } from '#lib/identity/key.ts';
import { x509 } from '#lib/identity/x509.ts';
import { encodePem } from '#lib/wire/pem.ts';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export interface TestIdentity {
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface LeafOptions {
  readonly names?: x509.JsonGeneralNames;
  readonly ca?: boolean;
  /** Empty means no extension. */
  readonly extendedKeyUsage?: readonly string[];
  readonly keyUsage?: number;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly extensions?: readonly x509.Extension[];
}

export interface CrlOptions {
  readonly nextUpdate?: Date;
  readonly extensions?: readonly x509.Extension[];
}

export interface TestCa {
  readonly rootPem: string;
  readonly root: x509.X509Certificate;
  /** PKCS#8 of this authority's own key. */
  readonly keyPem: string;
  issue(names: x509.JsonGeneralNames | string, options?: LeafOptions): Promise<TestIdentity>;
  /** A signed list of what it took back, in PEM. */
  revoke(chains: readonly string[], options?: CrlOptions): Promise<string>;
  /** An authority below this one; its leaves come with it in their chain. */
  intermediate(options?: LeafOptions): Promise<TestCa>;
}

/** A root of its own, ECDSA P-256. */
export async function createTestCa(name = 'test root'): Promise<TestCa> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys: keys,
    signingAlgorithm: P256,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 365 * DAY_MS),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return authority(root, keys.privateKey, await keyToPem(keys.privateKey), root.toString('pem'), []);
}

function authority(
  issuer: x509.X509Certificate,
  key: webcrypto.CryptoKey,
  keyPem: string,
  rootPem: string,
  above: readonly string[],
): TestCa {
  const create = async (
    options: LeafOptions,
    subject = '',
  ): Promise<{ certificate: x509.X509Certificate; keys: webcrypto.CryptoKeyPair }> => {
    const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
    const usage = options.extendedKeyUsage ?? [SERVER_AUTH, CLIENT_AUTH];
    const certificate = await x509.X509CertificateGenerator.create({
      subject,
      issuer: issuer.subject,
      publicKey: keys.publicKey,
      signingKey: key,
      signingAlgorithm: P256,
      notBefore: options.notBefore ?? new Date(Date.now() - DAY_MS),
      notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(options.ca ?? false, undefined, true),
        new x509.KeyUsagesExtension(
          options.keyUsage ?? x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        ...(usage.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension([...usage])]),
        ...(options.names === undefined || options.names.length === 0
          ? []
          : [new x509.SubjectAlternativeNameExtension(options.names, true)]),
        ...(options.extensions ?? []),
      ],
    });
    return { certificate, keys };
  };
  return {
    rootPem,
    root: issuer,
    keyPem,
    issue: async (names, options = {}) => {
      const list: x509.JsonGeneralNames = typeof names === 'string' ? [{ type: 'url', value: names }] : names;
      const { certificate, keys } = await create({ names: list, ...options });
      return {
        chainPem: [certificate.toString('pem'), ...above].join('\n'),
        keyPem: await keyToPem(keys.privateKey),
      };
    },
    revoke: async (chains, { extensions = [], nextUpdate = new Date(Date.now() + DAY_MS) } = {}) => {
      const list = await x509.X509CrlGenerator.create({
        issuer: issuer.subject,
        signingKey: key,
        signingAlgorithm: P256,
        thisUpdate: new Date(Date.now() - DAY_MS),
        nextUpdate,
        entries: chains.map((pem) => ({ serialNumber: new x509.X509Certificate(pem).serialNumber })),
        extensions: [...extensions],
      });
      return encodePem('X509 CRL', new Uint8Array(list.rawData));
    },
    intermediate: async (options = {}) => {
      const { certificate, keys } = await create(
        { ca: true, keyUsage: x509.KeyUsageFlags.keyCertSign, extendedKeyUsage: [], ...options },
        'CN=test intermediate',
      );
      return authority(certificate, keys.privateKey, await keyToPem(keys.privateKey), rootPem, [
        certificate.toString('pem'),
        ...above,
      ]);
    },
  };
}
