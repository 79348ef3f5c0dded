// SPDX-License-Identifier: Apache-2.0
// A workload's certificate with its key and roots, as a value: never changed, replaced as a whole when it is renewed.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { readCertificate } from '#lib/wire/certificate.ts';
import { encodePem, pemBlocks } from '#lib/wire/pem.ts';

export interface WorkloadCertificate {
  /** SPIFFE URI it was asked for. */
  readonly identity: string;
  /** Leaf first, then intermediates; never the root. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  /** Of the leaf, wall-clock ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Half of its life: when it is time for another. */
export function renewalTime({ notBefore, notAfter }: WorkloadCertificate): number {
  return notBefore + (notAfter - notBefore) / 2;
}

/**
 * Puts an authority's answer together: leaf, intermediates, roots last.
 * @param exact the leaf's only URI must be the identity asked for
 */
export function assembleCertificate(
  identity: string,
  keyPem: string,
  answer: readonly string[],
  exact: boolean,
): Result<WorkloadCertificate> {
  const refuse = (message: string): Result<never> => fail({ object: identity, field: 'cert_chain', message });
  if (answer.length < 2) return refuse(`the authority sent ${answer.length} of at least 2 parts, leaf and root`);
  const roots = pemBlocks(answer.at(-1)!, 'CERTIFICATE');
  const chain = answer.slice(0, -1).flatMap((part) => pemBlocks(part, 'CERTIFICATE'));
  const leaf = chain[0];
  if (leaf === undefined) return refuse('the first part holds no certificate');
  if (roots.length === 0) return refuse('the last part holds no root certificate');
  const facts = readCertificate(leaf);
  if (!facts.ok) return facts;
  const { uris, notBefore, notAfter } = facts.value;
  if (exact && (uris.length !== 1 || uris[0] !== identity)) {
    return refuse(`the leaf is for ${uris.join(', ') || 'nobody'}, asked was ${identity}`);
  }
  const text = (ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('');
  return ok({ identity, chainPem: text(chain), keyPem, rootsPem: text(roots), notBefore, notAfter });
}

/** One certificate as dumps list it. */
export interface CertificateSummary {
  readonly pem: string;
  readonly serialNumber: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly uris: readonly string[];
}

/** Every certificate of a PEM text, unreadable ones left out. */
export function summarize(pem: string): CertificateSummary[] {
  return pemBlocks(pem, 'CERTIFICATE').flatMap((der) => {
    const facts = readCertificate(der);
    if (!facts.ok) return [];
    const { serial, notBefore, notAfter, uris } = facts.value;
    return [{ pem: encodePem('CERTIFICATE', der), serialNumber: serial, notBefore, notAfter, uris }];
  });
}
