// SPDX-License-Identifier: Apache-2.0
// DNS as a mesh's resolver needs it (RFC 1035, 6891): read one question strictly, answer with addresses or an alias,
// cut what is too long, and pass other messages on untouched but for their number. General tools have dns-packet.
import { ipOctets } from './ip-octets.ts';

export const RecordType = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;
export const Rcode = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, refused: 5 } as const;

const HEADER = 12;
/** What a client without EDNS takes in one datagram, octets. */
export const UDP_DEFAULT = 512;
/** What we put into one datagram at most: fits into IPv6's least MTU (RFC 9715). */
export const UDP_MOST = 1232;
export const TCP_MOST = 65_535;
const QR = 0x80;
const AA = 0x04;
const TC = 0x02;
const RD = 0x01;
const RA = 0x80;
const EDNS_VERSION_MASK = 0x00ff_0000;

/** One question. */
export interface DnsQuery {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Lower case, no final dot; octets that no host name holds are written `\DDD`, so they match nothing. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Octets of a datagram the client takes. */
  readonly udpLimit: number;
  readonly edns: boolean;
  /** The question section as it came, to be repeated in the answer. */
  readonly question: Buffer;
}

/** What to do with a message that came to a server. */
export type DnsParse =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  | { readonly kind: 'reject'; readonly reply: Buffer }
  | { readonly kind: 'drop' };

/** One answer. Names as in `DnsQuery`; addresses as text. */
export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly name: string; readonly ttl: number; readonly address: string }
  | { readonly type: 'CNAME'; readonly name: string; readonly ttl: number; readonly target: string };

export interface DnsAnswer {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly records: readonly DnsRecord[];
}

/** Reads a request. What is no request at all is dropped; what is a bad one gets its answer ready made. */
export function parseQuery(bytes: Buffer): DnsParse {
  if (bytes.length < HEADER) return { kind: 'drop' };
  const flags = bytes[2]!;
  // Two servers that answer each other's answers never stop.
  if ((flags & QR) !== 0) return { kind: 'drop' };
  const reject = (rcode: number): DnsParse => ({ kind: 'reject', reply: bareReply(bytes, rcode) });
  if (((flags >>> 3) & 15) !== 0) return reject(Rcode.notImp);
  if (bytes.readUInt16BE(4) !== 1 || bytes.readUInt16BE(6) !== 0) return reject(Rcode.formErr);
  const name = readName(bytes, HEADER);
  if (name === undefined || name.end + 4 > bytes.length) return reject(Rcode.formErr);
  const opt = readOpt(bytes, name.end + 4);
  if (opt === undefined) return reject(Rcode.formErr);
  const query: DnsQuery = {
    id: bytes.readUInt16BE(0),
    recursionDesired: (flags & RD) !== 0,
    name: name.text,
    type: bytes.readUInt16BE(name.end),
    class: bytes.readUInt16BE(name.end + 2),
    udpLimit: Math.min(UDP_MOST, Math.max(UDP_DEFAULT, opt.size)),
    edns: opt.present,
    question: Buffer.from(bytes.subarray(HEADER, name.end + 4)),
  };
  return { kind: 'query', query };
}

function bareReply(bytes: Buffer, rcode: number): Buffer {
  const reply = Buffer.alloc(HEADER);
  bytes.copy(reply, 0, 0, 2);
  reply[2] = QR | (bytes[2]! & 0x79);
  reply[3] = rcode;
  return reply;
}

/** An uncompressed name at `offset`: a question stands first, so there is nothing it could point to. */
function readName(bytes: Buffer, offset: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  let at = offset;
  for (;;) {
    const length = bytes[at++];
    if (length === undefined || length > 63 || at + length > bytes.length || at + length - offset > 255)
      return undefined;
    if (length === 0) return { text: labels.join('.'), end: at };
    labels.push(labelText(bytes, at, at + length));
    at += length;
  }
}

function labelText(bytes: Buffer, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at++) {
    const octet = bytes[at]!;
    const plain =
      (octet >= 0x30 && octet <= 0x39) || (octet >= 0x61 && octet <= 0x7a) || octet === 0x2d || octet === 0x5f;
    if (plain || octet === 0x2a) text += String.fromCharCode(octet);
    else if (octet >= 0x41 && octet <= 0x5a) text += String.fromCharCode(octet + 32);
    else text += `\\${String(octet).padStart(3, '0')}`;
  }
  return text;
}

/** Looks for EDNS among the additional records, which are all that may follow a question. */
function readOpt(bytes: Buffer, start: number): { present: boolean; size: number } | undefined {
  let at = start;
  let found = { present: false, size: UDP_DEFAULT };
  for (let left = bytes.readUInt16BE(8) + bytes.readUInt16BE(10); left > 0; left--) {
    const name = readName(bytes, at);
    if (name === undefined || name.end + 10 > bytes.length) return undefined;
    const type = bytes.readUInt16BE(name.end);
    if (type === RecordType.opt) {
      if (found.present || name.text !== '' || (bytes.readUInt32BE(name.end + 4) & EDNS_VERSION_MASK) !== 0)
        return undefined;
      found = { present: true, size: bytes.readUInt16BE(name.end + 2) };
    }
    at = name.end + 10 + bytes.readUInt16BE(name.end + 8);
    if (at > bytes.length) return undefined;
  }
  return found;
}

/**
 * The answer to a query in at most `limit` octets (`query.udpLimit`, or `TCP_MOST`). If not all records fit, as many as
 * do are sent and TC tells the client to ask by TCP. A record whose name or address is none is left out.
 */
export function encodeAnswer(query: DnsQuery, answer: DnsAnswer, limit: number): Buffer {
  const records = answer.records
    .map((record) => encodeRecord(record, query.name))
    .filter((bytes) => bytes !== undefined);
  let size = HEADER + query.question.length + (query.edns ? OPT.length : 0);
  let count = 0;
  while (count < records.length && size + records[count]!.length <= limit) size += records[count++]!.length;
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(query.id, 0);
  const cut = count < records.length;
  header[2] = QR | (answer.authoritative ? AA : 0) | (cut ? TC : 0) | (query.recursionDesired ? RD : 0);
  header[3] = RA | answer.rcode;
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(count, 6);
  header.writeUInt16BE(query.edns ? 1 : 0, 10);
  return Buffer.concat([header, query.question, ...records.slice(0, count), ...(query.edns ? [OPT] : [])]);
}

// Root name, type OPT, our datagram size, no flags, no options.
const OPT = Buffer.from([0, 0, RecordType.opt, UDP_MOST >>> 8, UDP_MOST & 255, 0, 0, 0, 0, 0, 0]);

function encodeRecord(record: DnsRecord, asked: string): Buffer | undefined {
  const name = encodeName(record.name, asked);
  const data = record.type === 'CNAME' ? encodeName(record.target, '') : ipOctets(record.address);
  if (name === undefined || data === undefined) return undefined;
  if (record.type !== 'CNAME' && data.length !== (record.type === 'A' ? 4 : 16)) return undefined;
  const head = Buffer.alloc(10);
  head.writeUInt16BE(RecordType[record.type.toLowerCase() as 'a' | 'aaaa' | 'cname'], 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(record.ttl, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([name, head, data]);
}

/** A name in labels, or a pointer to the question if it is the one asked for. */
function encodeName(name: string, asked: string): Buffer | undefined {
  if (name !== '' && name === asked) return Buffer.from([0xc0, HEADER]);
  const parts: Buffer[] = [];
  for (const label of name === '' ? [] : name.split('.')) {
    const octets = Buffer.from(
      label.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number(code))),
      'latin1',
    );
    if (octets.length === 0 || octets.length > 63) return undefined;
    parts.push(Buffer.from([octets.length]), octets);
  }
  const bytes = Buffer.concat([...parts, Buffer.from([0])]);
  return bytes.length > 255 ? undefined : bytes;
}

/** A copy of a message under another number: for passing a question on, and its answer back. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether `reply` answers the question that was sent under `id`; anything else from that address is to be ignored. */
export function isReplyTo(reply: Buffer, id: number, query: DnsQuery): boolean {
  if (reply.length < HEADER || reply.readUInt16BE(0) !== id || (reply[2]! & QR) === 0) return false;
  if (reply.readUInt16BE(4) !== 1) return false;
  const question = reply.subarray(HEADER, HEADER + query.question.length);
  return question.length === query.question.length && sameOctets(question, query.question);
}

/** Equal but for the case of letters. */
function sameOctets(a: Buffer, b: Buffer): boolean {
  for (let i = 0; i < a.length; i++) if (lower(a[i]!) !== lower(b[i]!)) return false;
  return true;
}

function lower(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet + 32 : octet;
}

/** Whether a reply was cut, so the question should be asked again by TCP. */
export function isTruncated(reply: Buffer): boolean {
  return reply.length >= HEADER && (reply[2]! & TC) !== 0;
}

/** A reply from elsewhere that is longer than `limit`, cut to its question; others unchanged. */
export function fitReply(reply: Buffer, query: DnsQuery, limit: number): Buffer {
  if (reply.length <= limit) return reply;
  const header = Buffer.from(reply.subarray(0, HEADER));
  header[2] = header[2]! | TC;
  header.writeUInt16BE(1, 4);
  header.fill(0, 6, HEADER);
  return Buffer.concat([header, query.question]);
}
