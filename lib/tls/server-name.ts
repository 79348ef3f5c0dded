// SPDX-License-Identifier: Apache-2.0
// Whether the server at the other end is one of those a client came for, outside the mesh's own identities: by a DNS name or URI of
// its certificate (RFC 9525), and by what its authority has taken back. OpenSSL has verified the chain. Pure functions over DER.
import { type CertificateFacts, readCertificate } from '#lib/wire/certificate.ts';
import { linksOf, type Revocations } from './revocation.ts';

/**
 * @param chain verified, leaf first
 * @param names of which the leaf must have one: host names, or URIs
 * @param revocations undefined: nothing is known to be taken back
 * @param now wall clock, ms
 * @returns '' when it is, or why not
 */
export function judgeServer(
  chain: readonly Uint8Array[],
  names: readonly string[],
  revocations: Revocations | undefined,
  now: number,
): string {
  const facts: CertificateFacts[] = [];
  for (const der of chain) {
    const read = readCertificate(der);
    if (!read.ok) return `certificate cannot be read: ${read.problems[0]?.message ?? ''}`;
    facts.push(read.value);
  }
  const leaf = facts[0];
  if (leaf === undefined) return 'the peer sent no certificate';
  if (!names.some((name) => hasName(leaf, name))) {
    const shown = [...leaf.dnsNames, ...leaf.uris].slice(0, 8).join(', ');
    return `certificate is for ${shown === '' ? 'no host name or URI' : shown}, expected ${names.join(' or ')}`;
  }
  if (revocations?.revoked(linksOf(facts), now) === true) return 'certificate was revoked';
  return '';
}

function hasName({ dnsNames, uris }: CertificateFacts, name: string): boolean {
  return name.includes('://') ? uris.includes(name) : dnsNames.some((pattern) => coversHost(pattern, name));
}

/** `*.` stands for one whole label, and for nothing of a name that has no dot behind it (RFC 9525 section 6.3). */
export function coversHost(pattern: string, host: string): boolean {
  const [given, wanted] = [pattern.toLowerCase(), host.toLowerCase().replace(/\.$/, '')];
  if (given === wanted) return wanted !== '';
  if (!given.startsWith('*.')) return false;
  const dot = wanted.indexOf('.');
  const rest = given.slice(2);
  return dot > 0 && rest.includes('.') && !rest.includes('*') && wanted.slice(dot + 1) === rest;
}
