// SPDX-License-Identifier: Apache-2.0
// A certificate authority as a value: its certificate, its key and what it signs. Keeping it (in a Secret, on disk), and
// deciding who may ask for what, is the control plane's.
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { AmbitError } from '#lib/kit/error.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { generateKey, keyToPem, P256, type PublicKey, type SigningKey, signingKeyFromPem } from './key.ts';
import { x509 } from './x509.ts';

/** Everything of an authority in PEM, as it is stored. */
export interface AuthorityMaterial {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Intermediates from this authority up to, not including, the root; empty for a self-signed one. */
  readonly chainPem: string;
  /** The bundle that peers verify against. */
  readonly rootPem: string;
}

export interface LeafRequest {
  readonly publicKey: PublicKey;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ttlMs: number;
  readonly commonName?: string | undefined;
}

/** Clocks of a cluster differ a little: certificates begin before they are made. */
const CLOCK_SKEW_MS = 2 * 60_000;
const ROOT_TTL_MS = 3650 * 86_400_000;
const MAX_COMMON_NAME = 64;
const SERIAL_BYTES = 16;

export interface RootOptions {
  /** Becomes the organisation; the trust domain by convention. */
  readonly organization: string;
  /** Wall-clock ms. */
  readonly now: number;
  readonly ttlMs?: number;
}

/** A new self-signed root, ECDSA P-256. */
export async function createRoot({ organization, now, ttlMs = ROOT_TTL_MS }: RootOptions): Promise<AuthorityMaterial> {
  const keys = await generateKey();
  const own = { publicKey: keys.publicKey, signingKey: keys.privateKey, signingAlgorithm: P256 };
  const certificate = await selfSigned([{ O: [organization] }], own, now, ttlMs);
  return { certificatePem: certificate, keyPem: await keyToPem(keys.privateKey), chainPem: '', rootPem: certificate };
}

/**
 * A self-signed root with a new life: the same key and name, so that what the old one signed is verified by the new one
 * and the other way round.
 */
export async function renewRoot(
  material: AuthorityMaterial,
  { now, ttlMs = ROOT_TTL_MS }: Omit<RootOptions, 'organization'>,
): Promise<AuthorityMaterial> {
  const old = new x509.X509Certificate(material.certificatePem);
  const { algorithm, key } = await signingKeyFromPem(material.keyPem);
  const own = { publicKey: old.publicKey, signingKey: key, signingAlgorithm: algorithm };
  const certificate = await selfSigned(old.subjectName, own, now, ttlMs);
  return { ...material, certificatePem: certificate, rootPem: certificate };
}

async function selfSigned(
  name: x509.X509CertificateCreateParams['subject'],
  own: Pick<x509.X509CertificateCreateParams, 'publicKey'> &
    Pick<x509.X509CertificateCreateWithKeyParams, 'signingKey' | 'signingAlgorithm'>,
  now: number,
  ttlMs: number,
): Promise<string> {
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: name ?? [],
    issuer: name ?? [],
    ...own,
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + ttlMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(own.publicKey),
    ],
  });
  return withNewline(certificate.toString('pem'));
}

export class Authority {
  readonly material: AuthorityMaterial;
  readonly #certificate: x509.X509Certificate;
  readonly #key: SigningKey;

  private constructor(material: AuthorityMaterial, certificate: x509.X509Certificate, key: SigningKey) {
    this.material = material;
    this.#certificate = certificate;
    this.#key = key;
  }

  /** Throws CA_MATERIAL when certificate, key and root do not belong together, KEY_UNREADABLE for the key. */
  static async load(material: AuthorityMaterial): Promise<Authority> {
    const broken = (what: string, cause?: unknown): AmbitError =>
      new AmbitError('CA_MATERIAL', `certificate authority: ${what}`, {
        cause,
        advice: 'check ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem of the CA secret',
      });
    let certificate: x509.X509Certificate;
    try {
      certificate = new x509.X509Certificate(material.certificatePem);
    } catch (cause) {
      throw broken('certificate cannot be read', cause);
    }
    const key = await signingKeyFromPem(material.keyPem);
    const ownPublic = createPublicKey(createPrivateKey(material.keyPem)).export({ type: 'spki', format: 'der' });
    if (!ownPublic.equals(Buffer.from(certificate.publicKey.rawData)))
      throw broken('key does not match the certificate');
    if (certificate.getExtension(x509.BasicConstraintsExtension)?.ca !== true) throw broken('certificate is no CA');
    if (pemBlocks(material.rootPem, 'CERTIFICATE').length === 0) throw broken('root bundle holds no certificate');
    return new Authority(material, certificate, key);
  }

  /** When the signing certificate expires, wall-clock ms. */
  get notAfter(): number {
    return this.#certificate.notAfter.getTime();
  }

  /** From then on, wall-clock ms. */
  get notBefore(): number {
    return this.#certificate.notBefore.getTime();
  }

  /** It is the root itself, not an intermediate of another's. */
  get isRoot(): boolean {
    return isRoot(this.#certificate);
  }

  /**
   * Signs a leaf for both TLS roles. Its names are critical, its life ends with the signer's at the latest.
   * @returns PEM: leaf, each intermediate, then the root bundle as one text, each with a final newline
   * @throws AmbitError CA_EXPIRED
   */
  async sign(request: LeafRequest, now: number): Promise<string[]> {
    if (now >= this.notAfter) {
      throw new AmbitError(
        'CA_EXPIRED',
        `the signing certificate expired at ${this.#certificate.notAfter.toISOString()}`,
      );
    }
    const { uris = [], dnsNames = [], commonName } = request;
    const names: x509.JsonGeneralNames = [
      ...uris.map((value) => ({ type: 'url' as const, value })),
      ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ];
    const usable = commonName !== undefined && commonName.length <= MAX_COMMON_NAME;
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: usable ? [{ CN: [commonName] }] : [],
      // The name itself, not its text: verifiers compare its bytes.
      issuer: this.#certificate.subjectName,
      publicKey: request.publicKey,
      signingKey: this.#key.key,
      signingAlgorithm: this.#key.algorithm,
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(Math.min(now + request.ttlMs, this.notAfter)),
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.BasicConstraintsExtension(false, undefined, true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        new x509.SubjectAlternativeNameExtension(names, true),
      ],
    });
    const chain = this.material.chainPem === '' ? [] : pemTexts(this.material.chainPem);
    const own = isRoot(this.#certificate) ? [] : pemTexts(this.material.certificatePem);
    const above = [...own, ...chain.filter((text) => !own.includes(text))];
    return [withNewline(leaf.toString('pem')), ...above, withNewline(this.material.rootPem)];
  }
}

function isRoot(certificate: x509.X509Certificate): boolean {
  return certificate.subject === certificate.issuer;
}

function pemTexts(text: string): string[] {
  return [...text.matchAll(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)].map(
    ([block]) => `${block}\n`,
  );
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}

// 128 random bits, positive and without leading zeros, as DER wants them.
function randomSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
