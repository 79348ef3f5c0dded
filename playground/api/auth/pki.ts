// SPDX-License-Identifier: Apache-2.0
// The cluster's own certificate authority and keys, kept as files in the data folder so that kubeconfigs outlive a
// restart: `ca.crt`, `ca.key`, `sa.key` (signs service-account tokens). Serving and client certificates are issued
// from it, all ECDSA P-256.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { x509 } from '#lib/identity/x509.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export class Pki {
  readonly caCert: string;
  /** PKCS #8 PEM of the key that signs service-account tokens. */
  readonly tokenKey: string;
  readonly #certificate: x509.X509Certificate;
  readonly #caKey: CryptoKey;

  private constructor(caCert: string, caKey: CryptoKey, tokenKey: string) {
    this.caCert = caCert;
    this.#certificate = new x509.X509Certificate(caCert);
    this.#caKey = caKey;
    this.tokenKey = tokenKey;
  }

  /** Opens the authority in `dir`, making it on first use; without a folder it lives in memory. */
  static async open(dir: string | undefined, now: () => number): Promise<Pki> {
    const file = (name: string): string => join(dir!, name);
    if (dir && existsSync(file('ca.crt')))
      return new Pki(
        readFileSync(file('ca.crt'), 'utf8'),
        await importKey(readFileSync(file('ca.key'), 'utf8')),
        readFileSync(file('sa.key'), 'utf8'),
      );
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=kubernetes',
      keys,
      signingAlgorithm: ALGORITHM,
      serialNumber: serial(),
      notBefore: new Date(now() - DAY_MS),
      notAfter: new Date(now() + CA_DAYS * DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const cert = certificate.toString('pem');
    const tokenKeys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const tokenKey = await exportKey(tokenKeys.privateKey);
    if (dir) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(file('ca.key'), await exportKey(keys.privateKey), { mode: 0o600 });
      writeFileSync(file('sa.key'), tokenKey, { mode: 0o600 });
      writeFileSync(file('ca.crt'), cert);
    }
    return new Pki(cert, keys.privateKey, tokenKey);
  }

  /** A server certificate for these DNS names and addresses. */
  issueServer(commonName: string, names: readonly string[], now: number): Promise<KeyPair> {
    return this.#issue(`CN=${commonName}`, now, x509.ExtendedKeyUsage.serverAuth, names);
  }

  /** A client certificate: the common name is the user, organisations are its groups. */
  issueClient(user: string, groups: readonly string[], now: number): Promise<KeyPair> {
    const name = [{ CN: [user] }, ...groups.map((group) => ({ O: [group] }))];
    return this.#issue(name, now, x509.ExtendedKeyUsage.clientAuth, []);
  }

  /** Signs a PKCS #10 request of certificates.k8s.io for its own subject and names. */
  async signRequest(pem: string, server: boolean, now: number): Promise<string> {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const names = request.getExtension('2.5.29.17');
    const usage = server ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    const extensions = [new x509.ExtendedKeyUsageExtension([usage]), ...(names ? [names] : [])];
    return (await this.#sign(request.subject, request.publicKey, now, extensions)).toString('pem');
  }

  async #issue(
    subject: string | x509.JsonName,
    now: number,
    usage: x509.ExtendedKeyUsage,
    names: readonly string[],
  ): Promise<KeyPair> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const alternatives = names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
    const extensions: x509.Extension[] = [new x509.ExtendedKeyUsageExtension([usage])];
    if (alternatives.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(alternatives));
    const certificate = await this.#sign(subject, keys.publicKey, now, extensions);
    return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
  }

  async #sign(
    subject: string | x509.JsonName,
    publicKey: x509.PublicKeyType,
    now: number,
    extensions: x509.Extension[],
  ): Promise<x509.X509Certificate> {
    return x509.X509CertificateGenerator.create({
      subject,
      issuer: this.#certificate.subject,
      publicKey,
      signingKey: this.#caKey,
      signingAlgorithm: ALGORITHM,
      serialNumber: serial(),
      notBefore: new Date(now - DAY_MS / 24),
      notAfter: new Date(now + LEAF_DAYS * DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        ...extensions,
      ],
    });
  }
}

const serial = (): string => Buffer.from([0x4f, ...crypto.getRandomValues(new Uint8Array(15))]).toString('hex');

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

const importKey = (pem: string): Promise<CryptoKey> =>
  crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), ALGORITHM, true, ['sign']);

/** A kubeconfig for one user of one cluster, with everything inside it. */
export function kubeconfig(server: string, caCert: string, user: string, client: KeyPair): string {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'playground', cluster: { server, 'certificate-authority-data': encode(caCert) } }],
    users: [
      { name: user, user: { 'client-certificate-data': encode(client.cert), 'client-key-data': encode(client.key) } },
    ],
    contexts: [{ name: 'playground', context: { cluster: 'playground', user } }],
    'current-context': 'playground',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
