// SPDX-License-Identifier: Apache-2.0
// DNS from the asking side: a question for one name and type, and the addresses in its answer. What a resolver chased through aliases
// stands in the same answer (RFC 1034 section 5.2.2), so names there are skipped, not followed.
import { Rcode, RecordType } from './dns.ts';
import { ipText } from './ip-octets.ts';

const HEADER = 12;
const RD = 0x01;
const CLASS_IN = 1;
/** Records looked at; no host needs more addresses. */
const MAX_RECORDS = 256;

/** What an answer says. `name-error`: there is no such name, or it has no such record. */
export type Lookup =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttlS: number }
  | { readonly kind: 'name-error' }
  /** The resolver could not find out. */
  | { readonly kind: 'failure' };

/** A question with recursion desired; undefined when `name` is no host name. */
export function encodeQuestion(id: number, name: string, type: 'A' | 'AAAA'): Buffer | undefined {
  const labels = name.replace(/\.$/, '').split('.');
  const parts: Buffer[] = [];
  for (const label of labels) {
    const octets = Buffer.from(label, 'latin1');
    if (octets.length === 0 || octets.length > 63) return undefined;
    parts.push(Buffer.from([octets.length]), octets);
  }
  const encoded = Buffer.concat([...parts, Buffer.from([0])]);
  if (encoded.length > 255) return undefined;
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(id, 0);
  header[2] = RD;
  header.writeUInt16BE(1, 4);
  const tail = Buffer.from([0, type === 'A' ? RecordType.a : RecordType.aaaa, 0, CLASS_IN]);
  return Buffer.concat([header, encoded, tail]);
}

/** Reads the answer to such a question. What cannot be read is a failure. */
export function readLookup(reply: Buffer, type: 'A' | 'AAAA'): Lookup {
  if (reply.length < HEADER) return { kind: 'failure' };
  const rcode = reply[3]! & 15;
  if (rcode === Rcode.nxDomain) return { kind: 'name-error' };
  if (rcode !== Rcode.noError) return { kind: 'failure' };
  let at = HEADER;
  for (let left = reply.readUInt16BE(4); left > 0; left--) {
    at = skipName(reply, at) + 4;
    if (at > reply.length) return { kind: 'failure' };
  }
  const wanted = type === 'A' ? RecordType.a : RecordType.aaaa;
  const width = type === 'A' ? 4 : 16;
  const addresses: string[] = [];
  let ttlS = 0xffff_ffff;
  for (let left = Math.min(reply.readUInt16BE(6), MAX_RECORDS); left > 0; left--) {
    at = skipName(reply, at);
    if (at + 10 > reply.length) return { kind: 'failure' };
    const length = reply.readUInt16BE(at + 8);
    const data = at + 10;
    if (data + length > reply.length) return { kind: 'failure' };
    // An alias that lives shorter than the address behind it ends the answer's life.
    ttlS = Math.min(ttlS, reply.readUInt32BE(at + 4));
    if (reply.readUInt16BE(at) === wanted && reply.readUInt16BE(at + 2) === CLASS_IN && length === width) {
      addresses.push(ipText(reply.subarray(data, data + length)));
    }
    at = data + length;
  }
  return addresses.length === 0 ? { kind: 'name-error' } : { kind: 'addresses', addresses, ttlS };
}

/** The offset behind a name, which may end in a pointer; beyond the message when it is cut. */
function skipName(reply: Buffer, offset: number): number {
  let at = offset;
  while (at < reply.length) {
    const length = reply[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    at += length + 1;
  }
  return reply.length + 1;
}
