// SPDX-License-Identifier: Apache-2.0
// Who is at the other end. OpenSSL has verified the chain; these are the rules it does not know (trap 10): the leaf must not
// be a CA, must carry exactly one URI, that URI must be a SPIFFE identity, and its use must fit its role. Pure functions
// over DER, so that the same corpus of hostile certificates runs against them without a handshake.
import { createHash } from 'node:crypto';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import {
  type CertificateFacts,
  EKU_ANY,
  EKU_CLIENT_AUTH,
  EKU_SERVER_AUTH,
  readCertificate,
} from '#lib/wire/certificate.ts';
import { type ChainLink, linksOf } from './revocation.ts';

export type TlsRole = 'client' | 'server';

/** A proven peer. */
export interface PeerIdentity {
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
  readonly uri: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Serial number of the leaf, hexadecimal. */
  readonly serial: string;
  /** When the first certificate of the verified chain expires, wall-clock ms: the connection is re-judged then (trap 9). */
  readonly notAfter: number;
  /** SHA-256 of the root that vouched, hexadecimal: the connection ends when that root is no longer trusted. */
  readonly anchor: string;
  /** The chain, for looking it up in revocation lists now and whenever those change. */
  readonly links: readonly ChainLink[];
}

// No `%`, no control character, no dot segments: whatever two readers could take for different identities is refused.
const SEGMENT = '[A-Za-z0-9][A-Za-z0-9._-]*';
const SPIFFE = new RegExp(`^spiffe://(${SEGMENT})/ns/(${SEGMENT})/sa/(${SEGMENT})$`);

/** Judges the verified chain, leaf first, of a peer that acts as `role`. */
export function judgePeer(chain: readonly Uint8Array[], role: TlsRole): Result<PeerIdentity> {
  const leafDer = chain[0];
  if (leafDer === undefined) return refuse('the peer sent no certificate');
  const read = chain.map(readCertificate);
  const facts: CertificateFacts[] = [];
  for (const result of read) {
    if (!result.ok) return result;
    facts.push(result.value);
  }
  const leaf = facts[0]!;
  if (leaf.ca) return refuse('the peer presented a CA certificate as its own');
  if (leaf.signsCertificates) return refuse('the key usage of the leaf allows signing certificates');
  const wanted = role === 'client' ? EKU_CLIENT_AUTH : EKU_SERVER_AUTH;
  const usage = leaf.extendedKeyUsage;
  if (usage !== undefined && !usage.includes(wanted) && !usage.includes(EKU_ANY)) {
    return refuse(`the extended key usage of the leaf does not allow ${role} authentication`);
  }
  if (leaf.uris.length !== 1) return refuse(`the leaf has ${leaf.uris.length} URI names, exactly one is allowed`);
  const uri = leaf.uris[0]!;
  const match = SPIFFE.exec(uri);
  if (match === null) return refuse(`${JSON.stringify(uri)} is no SPIFFE identity spiffe://<td>/ns/<ns>/sa/<sa>`);
  return ok({
    uri,
    trustDomain: match[1]!,
    namespace: match[2]!,
    serviceAccount: match[3]!,
    serial: leaf.serial,
    notAfter: Math.min(...facts.map(({ notAfter }) => notAfter)),
    anchor: fingerprint(chain.at(-1)!),
    links: linksOf(facts),
  });
}

/** A server's identity must be one of those the client came for. An empty list accepts nobody. */
export function isExpectedServer(peer: PeerIdentity, expected: readonly string[]): boolean {
  return expected.includes(peer.uri);
}

/** A client must belong to the server's own trust domain. */
export function isOfTrustDomain(peer: PeerIdentity, trustDomain: string): boolean {
  return peer.trustDomain === trustDomain;
}

/** SHA-256 of a certificate's DER, hexadecimal; `PeerIdentity.anchor` is one. */
export function fingerprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

function refuse(message: string): {
  readonly ok: false;
  readonly problems: readonly { field: string; message: string }[];
} {
  return fail({ field: 'certificate', message });
}
