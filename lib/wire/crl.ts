// SPDX-License-Identifier: Apache-2.0
// What a certificate revocation list (RFC 5280 section 5) says. It verifies no signature: that is done by whoever has the issuer's key.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { children, DER, type DerElement, DerError, expectElement, readElement, readOid, readTime } from './der.ts';

export interface RevocationList {
  /** DER of the issuer's name, as `CertificateFacts.issuer` has it. */
  readonly issuer: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  /** Until when the list is good; undefined means for ever. */
  readonly nextUpdate: number | undefined;
  /** Serial numbers as `CertificateFacts.serial` has them. */
  readonly serials: ReadonlySet<string>;
  /** The signed part, the algorithm's object identifier, and the signature. */
  readonly signed: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

const MAX_CRL_BYTES = 16 * 1024 * 1024;
const EXTENSIONS = 0xa0;

/** Reads one DER list; the whole of `der` must be it. Lists that tell only a part (delta, indirect) are refused. */
export function readCrl(der: Uint8Array): Result<RevocationList> {
  try {
    return ok(parse(der));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return fail({ field: 'revocation list', message: error.message });
  }
}

function parse(der: Uint8Array): RevocationList {
  if (der.length > MAX_CRL_BYTES) throw new DerError(`${der.length} bytes is over ${MAX_CRL_BYTES}`);
  const outer = expectElement(der, 0, der.length, DER.sequence);
  if (outer.end !== der.length) throw new DerError('bytes behind the list');
  const [signedPart, algorithm, signature, ...more] = children(der, outer);
  if (algorithm?.tag !== DER.sequence || signature?.tag !== DER.bitString || more.length > 0) {
    throw new DerError('the list is not signed as it should be');
  }
  const tbs = expectElement(der, outer.start, signedPart!.end, DER.sequence);
  const parts = children(der, tbs);
  let at = parts[0]?.tag === DER.integer ? 1 : 0;
  const next = (): DerElement => {
    const element = parts[at++];
    if (element === undefined) throw new DerError(`field ${at} of the list is missing`);
    return element;
  };
  if (next().tag !== DER.sequence) throw new DerError('the list names no algorithm');
  const issuer = next();
  if (issuer.tag !== DER.sequence) throw new DerError('the list names no issuer');
  const thisUpdate = readTime(der, next());
  const nextUpdate = isTime(parts[at]) ? readTime(der, next()) : undefined;
  const entries = parts[at]?.tag === DER.sequence ? next() : undefined;
  if (parts[at]?.tag === EXTENSIONS) refusePartial(der, next());
  if (at !== parts.length) throw new DerError('more fields than a list has');
  return {
    issuer: der.slice(issuer.start, issuer.end),
    thisUpdate,
    nextUpdate,
    serials: entries === undefined ? new Set() : serialsOf(der, entries),
    signed: der.slice(outer.start, tbs.end),
    algorithm: readOid(der, expectElement(der, algorithm.start, algorithm.end, DER.oid)),
    signature: der.slice(signature.start + 1, signature.end),
  };
}

function serialsOf(der: Uint8Array, entries: DerElement): Set<string> {
  const serials = new Set<string>();
  for (let at = entries.start; at < entries.end; ) {
    const entry = expectElement(der, at, entries.end, DER.sequence);
    const { start, end } = expectElement(der, entry.start, entry.end, DER.integer);
    serials.add(serialText(der, start, end));
    at = entry.end;
  }
  return serials;
}

function serialText(der: Uint8Array, start: number, end: number): string {
  let from = start;
  while (from < end - 1 && der[from] === 0) from++;
  return Buffer.from(der.buffer, der.byteOffset + from, end - from).toString('hex');
}

// Section 5.2: with a critical extension that is not understood, a delta indicator among them, a list must not be used.
function refusePartial(der: Uint8Array, wrapper: DerElement): void {
  const list = expectElement(der, wrapper.start, wrapper.end, DER.sequence);
  for (const extension of children(der, list)) {
    const [oid, critical] = children(der, extension);
    if (oid?.tag !== DER.oid) throw new DerError('extension without name');
    if (critical?.tag === DER.boolean && der[critical.start] !== 0) {
      throw new DerError(`critical extension ${readOid(der, oid)} is not understood: only whole, direct lists are`);
    }
  }
}

function isTime(element: DerElement | undefined): boolean {
  return element?.tag === DER.utcTime || element?.tag === DER.generalizedTime;
}

/** Whether `der` may be a list at all, so that a file's kind can be told: PEM begins with a letter or a dash. */
export function looksLikeDer(der: Uint8Array): boolean {
  if (der[0] !== DER.sequence) return false;
  try {
    return readElement(der, 0, der.length).end === der.length;
  } catch (error) {
    if (error instanceof DerError) return false;
    throw error;
  }
}
