// SPDX-License-Identifier: Apache-2.0
// What a certificate (RFC 5280) says, for deciding and for dumps. It verifies no signature: that is OpenSSL's part.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import {
  children,
  DER,
  type DerElement,
  DerError,
  expectElement,
  latin1,
  readElement,
  readOid,
  readTime,
} from './der.ts';

export interface CertificateFacts {
  /** Serial number, lower-case hexadecimal without leading zero bytes. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Every subjectAltName of each kind, in order; NUL bytes are kept as they are. */
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** How many subjectAltNames were of another kind than URI, DNS name. */
  readonly otherNames: number;
  /** basicConstraints says CA. */
  readonly ca: boolean;
  /** Object identifiers of extendedKeyUsage; undefined when the extension is absent. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** keyUsage allows signing certificates (bit 5). */
  readonly signsCertificates: boolean;
  /** DER of the SubjectPublicKeyInfo, and of issuer and subject names. */
  readonly publicKey: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
}

export const EKU_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const EKU_CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
export const EKU_ANY = '2.5.29.37.0';

const OID_BASIC_CONSTRAINTS = '2.5.29.19';
const OID_SUBJECT_ALT_NAME = '2.5.29.17';
const OID_EXTENDED_KEY_USAGE = '2.5.29.37';
const OID_KEY_USAGE = '2.5.29.15';
const SAN_DNS = 0x82;
const SAN_URI = 0x86;
const MAX_CERTIFICATE_BYTES = 64 * 1024;

interface Extensions {
  uris: string[];
  dnsNames: string[];
  otherNames: number;
  ca: boolean;
  extendedKeyUsage: string[] | undefined;
  signsCertificates: boolean;
}

/** Reads one DER certificate; the whole of `der` must be it. */
export function readCertificate(der: Uint8Array): Result<CertificateFacts> {
  try {
    return ok(parse(der));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return fail({ field: 'certificate', message: error.message });
  }
}

function parse(der: Uint8Array): CertificateFacts {
  if (der.length > MAX_CERTIFICATE_BYTES) throw new DerError(`${der.length} bytes is over ${MAX_CERTIFICATE_BYTES}`);
  const outer = expectElement(der, 0, der.length, DER.sequence);
  if (outer.end !== der.length) throw new DerError('bytes behind the certificate');
  const tbs = expectElement(der, outer.start, outer.end, DER.sequence);
  const parts = children(der, tbs);
  let at = parts[0]?.tag === 0xa0 ? 1 : 0;
  const next = (tag: number): DerElement => {
    const element = parts[at++];
    if (element?.tag !== tag) throw new DerError(`field ${at} of the certificate is not of tag 0x${tag.toString(16)}`);
    return element;
  };
  const serial = next(DER.integer);
  next(DER.sequence);
  const issuer = next(DER.sequence);
  const [notBefore, notAfter] = children(der, next(DER.sequence));
  if (notBefore === undefined || notAfter === undefined) throw new DerError('validity has no two times');
  const subject = next(DER.sequence);
  const publicKeyAt = parts[at - 1]!.end;
  const publicKey = next(DER.sequence);
  const extensions = readExtensions(der, parts.slice(at));
  return {
    serial: hex(der, serial),
    notBefore: readTime(der, notBefore),
    notAfter: readTime(der, notAfter),
    publicKey: der.slice(publicKeyAt, publicKey.end),
    issuer: der.slice(issuer.start, issuer.end),
    subject: der.slice(subject.start, subject.end),
    ...extensions,
  };
}

function readExtensions(der: Uint8Array, rest: readonly DerElement[]): Extensions {
  const found: Extensions = {
    uris: [],
    dnsNames: [],
    otherNames: 0,
    ca: false,
    extendedKeyUsage: undefined,
    signsCertificates: false,
  };
  const wrapper = rest.find(({ tag }) => tag === 0xa3);
  if (wrapper === undefined) return found;
  const list = expectElement(der, wrapper.start, wrapper.end, DER.sequence);
  const seen = new Set<string>();
  for (const extension of children(der, list)) {
    const [oid, ...tail] = children(der, extension);
    const value = tail.at(-1);
    if (oid?.tag !== DER.oid || value?.tag !== DER.octetString) throw new DerError('extension without name or value');
    const name = readOid(der, oid);
    // RFC 5280 section 4.2: at most one instance of each, or two readers see two certificates.
    if (seen.has(name)) throw new DerError(`extension ${name} appears twice`);
    seen.add(name);
    readExtension(der, name, value, found);
  }
  return found;
}

function readExtension(der: Uint8Array, name: string, value: DerElement, found: Extensions): void {
  const body = (): DerElement => {
    const element = expectElement(der, value.start, value.end, DER.sequence);
    if (element.end !== value.end) throw new DerError(`bytes behind extension ${name}`);
    return element;
  };
  if (name === OID_SUBJECT_ALT_NAME) {
    for (const item of children(der, body())) {
      if (item.tag === SAN_URI) found.uris.push(latin1(der, item.start, item.end));
      else if (item.tag === SAN_DNS) found.dnsNames.push(latin1(der, item.start, item.end));
      else found.otherNames++;
    }
  } else if (name === OID_BASIC_CONSTRAINTS) {
    const flag = children(der, body())[0];
    found.ca = flag?.tag === DER.boolean && der[flag.start] !== 0;
  } else if (name === OID_EXTENDED_KEY_USAGE) {
    found.extendedKeyUsage = children(der, body()).map((item) => readOid(der, item));
  } else if (name === OID_KEY_USAGE) {
    const bits = readElement(der, value.start, value.end);
    found.signsCertificates =
      bits.tag === DER.bitString && bits.end - bits.start >= 2 && (der[bits.start + 1]! & 4) !== 0;
  }
}

function hex(der: Uint8Array, { start, end }: DerElement): string {
  return Buffer.from(der.subarray(start, end))
    .toString('hex')
    .replace(/^(00)+(?=..)/, '');
}
