// SPDX-License-Identifier: Apache-2.0
//
// A request as decisions see it: what stands in its head, and who sent it over which port. The data plane backs it
// with bytes in an arena and makes a string only of what a rule reads; tests and `explain` with a plain object.

import type { Identity } from '../identity.ts';
import type { Ip } from '../ip.ts';

/** Verified claims of a request's token (RFC 7519), as parsed from JSON. */
export type Claims = Readonly<Record<string, unknown>>;

export interface RequestView {
  /** Case-sensitive, as sent. */
  readonly method: string;
  /** `http` or `https`, of the connection the request came by. */
  readonly scheme: string;
  /** `:authority` or Host, as sent, port included. */
  readonly authority: string;
  /** Path and query after normalisation. */
  readonly path: string;
  /** Value of a header, by lower-case name; several lines of one name are joined by a comma. undefined: not there. */
  header(name: string): string | undefined;
  /** The client, from the certificate of the tunnel's connection; undefined for plaintext. */
  readonly identity: Identity | undefined;
  readonly sourceIp: Ip;
  /** The client behind trusted proxies (X-Forwarded-For, PROXY protocol); `sourceIp` when there are none. */
  readonly remoteIp: Ip;
  readonly destinationIp: Ip;
  /** Port of the service, or of the gateway's listener. */
  readonly port: number;
  /** Server name of the TLS connection the request came by; '' when there is none. */
  readonly serverName: string;
  /** Of a token that was verified; undefined when there is none. */
  readonly claims: Claims | undefined;
}

/** Number of characters of `path` before its query or fragment. */
export function pathLength(path: string): number {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 63 || code === 35) return i;
  }
  return path.length;
}

/** The path without its query. */
export function pathOf(path: string): string {
  const end = pathLength(path);
  return end === path.length ? path : path.slice(0, end);
}

/** The authority's host: lower case, without port; brackets of an IPv6 address stay. */
export function hostOf(authority: string): string {
  let end = authority.length;
  for (let i = end - 1; i >= 0; i--) {
    const code = authority.charCodeAt(i);
    if (code === 58) {
      end = i;
      break;
    }
    if (code < 48 || code > 57) break;
  }
  const host = end === authority.length ? authority : authority.slice(0, end);
  for (let i = 0; i < host.length; i++) {
    const code = host.charCodeAt(i);
    if (code >= 65 && code <= 90) return host.toLowerCase();
  }
  return host;
}

/** The authority's port, 0 when it names none. */
export function portOfAuthority(authority: string): number {
  const match = /:(\d{1,5})$/.exec(authority);
  return match === null ? 0 : Number(match[1]);
}

/**
 * First value of a query parameter, as sent (not decoded).
 * @returns undefined when it is not there
 */
export function queryValue(path: string, name: string): string | undefined {
  let at = path.indexOf('?');
  while (at >= 0) {
    const start = at + 1;
    at = path.indexOf('&', start);
    const end = at < 0 ? path.length : at;
    if (path.startsWith(name, start)) {
      const after = start + name.length;
      if (after === end) return '';
      if (after < end && path.charCodeAt(after) === 61) return path.slice(after + 1, end);
    }
  }
  return undefined;
}

/** Claim by its path; undefined when it is not there. */
export function claimAt(claims: Claims | undefined, names: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of names) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, name) ? (value as Claims)[name] : undefined;
  }
  return value;
}

/** A request with nothing special about it, for tools and tests to vary. */
export interface RequestFields extends Partial<Omit<RequestView, 'header'>> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request from plain values. */
export class PlainRequest implements RequestView {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly identity: Identity | undefined;
  readonly sourceIp: Ip;
  readonly remoteIp: Ip;
  readonly destinationIp: Ip;
  readonly port: number;
  readonly serverName: string;
  readonly claims: Claims | undefined;
  readonly #headers: ReadonlyMap<string, string>;

  /** @param unknown the address of ends that `fields` says nothing of */
  constructor(fields: RequestFields, unknown: Ip) {
    this.method = fields.method ?? 'GET';
    this.scheme = fields.scheme ?? 'http';
    this.authority = fields.authority ?? '';
    this.path = fields.path ?? '/';
    this.identity = fields.identity;
    this.sourceIp = fields.sourceIp ?? unknown;
    this.remoteIp = fields.remoteIp ?? this.sourceIp;
    this.destinationIp = fields.destinationIp ?? unknown;
    this.port = fields.port ?? 80;
    this.serverName = fields.serverName ?? '';
    this.claims = fields.claims;
    this.#headers = new Map(Object.entries(fields.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }
}
