// SPDX-License-Identifier: Apache-2.0
// HBONE's CONNECT exchange as header sections: what a node proxy asks of the other side, and what it is told.
import { isIPv4, isIPv6 } from 'node:net';
import { AmbitError } from '#lib/kit/error.ts';
import { HeaderBlock } from './h2/headers.ts';

/** Answers of an HBONE server. */
export const HboneStatus = {
  ok: 200,
  /** No CONNECT, no usable authority, or an authority that is not for this workload. */
  badRequest: 400,
  /** Refused by policy. */
  denied: 401,
  /** The application, or the workload, cannot be reached. */
  unavailable: 503,
} as const;

/** Where a tunnel leads. */
export type Authority =
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: number };

/** The text of an address and port; IPv6 in brackets. */
export function formatAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

const HOSTNAME = /^(?!.*\.\.)[A-Za-z0-9_*]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$/;

/** Reads `ip:port`, `[v6]:port` or `host:port`; undefined for anything else, a port of 0 among it. */
export function parseAuthority(text: string): Authority | undefined {
  const colon = text.lastIndexOf(':');
  const digits = text.slice(colon + 1);
  if (colon <= 0 || !/^[1-9]\d{0,4}$/.test(digits)) return undefined;
  const port = Number(digits);
  const host = text.slice(0, colon);
  if (port > 65_535) return undefined;
  if (host.startsWith('[')) {
    const ip = host.slice(1, -1);
    return host.endsWith(']') && isIPv6(ip) && !ip.includes('%') ? { kind: 'address', ip, port } : undefined;
  }
  if (isIPv4(host)) return { kind: 'address', ip: host, port };
  // What looks like a number but is no address must not become a name: resolvers differ in what they make of it.
  if (!HOSTNAME.test(host) || /(^|\.)(0x[0-9a-f]*|\d+)\.?$/i.test(host)) return undefined;
  return { kind: 'hostname', hostname: host.toLowerCase(), port };
}

/** What goes into a CONNECT. */
export interface ConnectOptions {
  readonly authority: string;
  /** The source workload, already formatted; empty for none. */
  readonly baggage: string;
  /** `ip:port` of the application that connects. */
  readonly forwardedFor: string;
  /** Host name of the service that was addressed; empty if none is known. */
  readonly forwardedHost: string;
  readonly traceparent: string;
  /** The local network, on the inner tunnel of a pair only; empty otherwise. */
  readonly forwardedNetwork: string;
}

/** The header section that opens a tunnel. */
export function connectRequest(options: ConnectOptions): HeaderBlock {
  const block = HeaderBlock.request('CONNECT', '', options.authority, '');
  if (options.baggage !== '') block.add('baggage', options.baggage);
  if (options.forwardedFor !== '') block.add('forwarded', formatForwarded(options.forwardedFor, options.forwardedHost));
  if (options.traceparent !== '') block.add('traceparent', options.traceparent);
  if (options.forwardedNetwork !== '') block.add('x-forwarded-network', options.forwardedNetwork);
  return block;
}

/** The answer; baggage only with 200, empty for none. */
export function connectResponse(status: number, baggage: string): HeaderBlock {
  const block = HeaderBlock.response(status);
  return status === HboneStatus.ok && baggage !== '' ? block.add('baggage', baggage) : block;
}

/** The value of `forwarded` (RFC 7239): the application, and the service's host name if there is one. */
export function formatForwarded(address: string, host: string): string {
  return host === '' ? `for="${address}"` : `for="${address}";host=${host}`;
}

interface Forwarded {
  readonly for: string;
  readonly host: string;
}

/** The first element of `forwarded`: what stands for `for` and `host`, without quotes; empty where nothing does. */
export function parseForwarded(value: string): Forwarded {
  return readFormatted(value) ?? readForwarded(value);
}

const PLAIN = /^[^";,\\\s]*$/;

/** Reads what formatForwarded writes, as each tunnelled connection brings it, without searching; undefined for anything else. */
function readFormatted(value: string): Forwarded | undefined {
  if (!value.startsWith('for="')) return undefined;
  const close = value.indexOf('"', 5);
  if (close < 0 || value.indexOf('\\') >= 0) return undefined;
  const address = value.slice(5, close);
  if (close + 1 === value.length) return { for: address, host: '' };
  const host = value.slice(close + 7);
  return value.startsWith(';host=', close + 1) && PLAIN.test(host) ? { for: address, host } : undefined;
}

function readForwarded(value: string): Forwarded {
  const found = { for: '', host: '' };
  const first = /^(?:[^",]|"(?:[^"\\]|\\.)*")*/.exec(value)![0];
  for (const [, name = '', quoted, plain = ''] of first.matchAll(
    /(?:^|;)\s*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^";,\s]*))/g,
  )) {
    const key = name.toLowerCase();
    if (key === 'for' || key === 'host') found[key] = quoted?.replace(/\\(.)/g, '$1') ?? plain;
  }
  return found;
}

/** Lower-case hexadecimal digits, and not only zeros. */
function isHex(text: string): boolean {
  let zeros = true;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
    if (code !== 48) zeros = false;
  }
  return !zeros;
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** A fresh `traceparent` (W3C Trace Context) of 24 random octets, flags 00: not sampled here. */
export function newTraceparent(random: Uint8Array): string {
  if (random.length !== 24) throw new AmbitError('TRACEPARENT_RANDOM', 'a traceparent takes 24 random octets');
  const hex = Buffer.from(random.buffer, random.byteOffset, 24).toString('hex');
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-00`;
}

/** Reads a `traceparent`; undefined if it is none, or all zeros. */
export function parseTraceparent(
  value: string,
): { readonly traceId: string; readonly spanId: string; readonly sampled: boolean } | undefined {
  if (value.length === 55 && value.startsWith('00-') && value.endsWith('-00')) {
    // As every proxy of ours says it; cutting it apart costs less than a search.
    const trace = value.slice(3, 35);
    const span = value.slice(36, 52);
    if (value[35] === '-' && isHex(trace) && isHex(span)) return { traceId: trace, spanId: span, sampled: false };
  }
  const match = TRACEPARENT.exec(value);
  if (match === null || value.startsWith('ff')) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = match;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId) || (value.startsWith('00') && match[4] !== undefined))
    return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
