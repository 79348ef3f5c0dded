// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt section 2.2): written to an application that asked to
// be told where a tunnelled connection came from, read by our own waypoint.
import { AmbitError } from '#lib/kit/error.ts';
import { ipOctets, ipText } from './ip-octets.ts';

/** TLV type that carries the source's SPIFFE identity. */
export const TLV_SOURCE_IDENTITY = 0xd0;

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

export interface Tlv {
  readonly type: number;
  readonly value: Buffer;
}

/** Either side's addresses; null for LOCAL (health checks of the proxy itself). */
export interface ProxyHeader {
  readonly addresses: { readonly source: Endpoint; readonly destination: Endpoint } | null;
  readonly tlvs: readonly Tlv[];
}

/** What a reader makes of the bytes so far. */
export type ProxyParse =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  | { readonly kind: 'invalid'; readonly reason: string };

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const FIXED = 16;
const STREAM_V4 = 0x11;
const STREAM_V6 = 0x21;
/** Longest payload accepted, octets: addresses and TLVs of any sense fit ten times. */
const MAX_PAYLOAD = 4096;

/** The bytes of a header. Throws PROXY_ADDRESS if an address is none. */
export function encodeProxyV2(header: ProxyHeader): Buffer {
  const addresses = header.addresses === null ? Buffer.alloc(0) : encodeAddresses(header.addresses);
  const tlvs = header.tlvs.map(({ type, value }) => {
    const head = Buffer.from([type, value.length >>> 8, value.length & 255]);
    return Buffer.concat([head, value]);
  });
  const payload = Buffer.concat([addresses, ...tlvs]);
  const family = addresses.length === 0 ? 0 : addresses.length === 12 ? STREAM_V4 : STREAM_V6;
  const head = Buffer.from([
    header.addresses === null ? 0x20 : 0x21,
    family,
    payload.length >>> 8,
    payload.length & 255,
  ]);
  return Buffer.concat([SIGNATURE, head, payload]);
}

function encodeAddresses({ source, destination }: NonNullable<ProxyHeader['addresses']>): Buffer {
  const [from, to] = [octetsOf(source), octetsOf(destination)];
  const mapped = from.length !== to.length;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  return Buffer.concat([mapped ? toV6(from) : from, mapped ? toV6(to) : to, ports]);
}

function octetsOf({ ip }: Endpoint): Uint8Array {
  const octets = ipOctets(ip);
  if (octets === undefined) throw new AmbitError('PROXY_ADDRESS', `${JSON.stringify(ip)} is no address`);
  return octets;
}

/** IPv4 as mapped IPv6, for a header whose two sides differ in family. */
function toV6(octets: Uint8Array): Uint8Array {
  return octets.length === 16 ? octets : Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...octets]);
}

/** Reads a header at the beginning of a connection's bytes. */
export function parseProxyV2(bytes: Buffer): ProxyParse {
  const seen = Math.min(bytes.length, SIGNATURE.length);
  if (!bytes.subarray(0, seen).equals(SIGNATURE.subarray(0, seen))) return invalid('signature is missing');
  if (bytes.length < FIXED) return { kind: 'incomplete' };
  const command = bytes[12]!;
  const family = bytes[13]!;
  const size = bytes.readUInt16BE(14);
  if (command !== 0x20 && command !== 0x21) return invalid('version or command is unknown');
  if (size > MAX_PAYLOAD) return invalid(`payload of ${size} octets is above ${MAX_PAYLOAD}`);
  const length = FIXED + size;
  if (bytes.length < length) return { kind: 'incomplete' };
  const payload = bytes.subarray(FIXED, length);
  const width = family === STREAM_V4 ? 4 : family === STREAM_V6 ? 16 : 0;
  if (width === 0 && command === 0x21) return invalid('only TCP over IPv4 and IPv6 is spoken here');
  const after = 2 * width + (width > 0 ? 4 : 0);
  if (payload.length < after) return invalid('addresses are cut');
  const tlvs = parseTlvs(payload.subarray(after));
  if (tlvs === undefined) return invalid('a TLV is cut');
  const addresses = command === 0x20 ? null : parseAddresses(payload, width);
  return { kind: 'header', header: { addresses, tlvs }, length };
}

function parseAddresses(payload: Buffer, width: number): ProxyHeader['addresses'] {
  const port = 2 * width;
  return {
    source: { ip: ipText(payload.subarray(0, width)), port: payload.readUInt16BE(port) },
    destination: { ip: ipText(payload.subarray(width, port)), port: payload.readUInt16BE(port + 2) },
  };
}

function parseTlvs(bytes: Buffer): Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return undefined;
    tlvs.push({ type: bytes[at]!, value: Buffer.from(bytes.subarray(at + 3, end)) });
    at = end;
  }
  return tlvs;
}

function invalid(reason: string): ProxyParse {
  return { kind: 'invalid', reason: `PROXY header: ${reason}` };
}
