// SPDX-License-Identifier: Apache-2.0
//
// What ties a client to a host: the key of consistent hashing, and the session of a route, which names its host. Both
// may live in a cookie (RFC 6265) that the proxy makes.

import type { Random } from '../balance.ts';
import { queryValue, type RequestView } from '../http/request.ts';
import type { SessionPersistence } from '../http/route-table.ts';
import type { HashKey } from '../http/traffic-policy.ts';
import { hash32 } from './hash.ts';
import type { Host } from './host.ts';

/** Value of a cookie of the request; undefined when it has none. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  for (const pair of header.split(/[;,]/)) {
    const equals = pair.indexOf('=');
    if (equals >= 0 && pair.slice(0, equals).trim() === name)
      return pair
        .slice(equals + 1)
        .trim()
        .replaceAll('"', '');
  }
  return undefined;
}

export interface Affinity {
  /** undefined: the request goes anywhere. */
  readonly hash: number | undefined;
  /** A set-cookie for the answer; ''. */
  readonly setCookie: string;
}

const NO_AFFINITY: Affinity = { hash: undefined, setCookie: '' };

/** The hash of the request's key. A cookie with a lifetime is made when it is missing. */
export function affinityOf(key: HashKey | undefined, request: RequestView, random: Random): Affinity {
  if (key === undefined) return NO_AFFINITY;
  const value = keyValue(key, request);
  if (value !== undefined) return { hash: hash32(value), setCookie: '' };
  if (key.kind !== 'cookie' || key.cookieTtlS === undefined) return NO_AFFINITY;
  const made = [random(), random()]
    .map((part) =>
      Math.floor(part * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    )
    .join('');
  const parts = [`${key.name}="${made}"`];
  if (key.cookieTtlS > 0) parts.push(`Max-Age=${key.cookieTtlS}`);
  if (key.cookiePath !== '') parts.push(`Path=${key.cookiePath}`);
  for (const { name, value: text } of key.cookieAttributes) parts.push(text === '' ? name : `${name}=${text}`);
  parts.push('HttpOnly');
  return { hash: hash32(made), setCookie: parts.join('; ') };
}

function keyValue(key: HashKey, request: RequestView): string | undefined {
  switch (key.kind) {
    case 'header':
      return request.header(key.name);
    case 'cookie':
      return cookieValue(request.header('cookie'), key.name);
    case 'source-ip':
      return request.remoteIp.text;
    case 'query':
      return queryValue(request.path, key.name);
  }
}

/** What a session remembers: which backend of the rule, which of its hosts, since when. */
export interface Session {
  readonly backend: number;
  readonly token: string;
  readonly sinceMs: number;
}

/** The session a request belongs to; undefined when there is none or its time is up. */
export function sessionOf(settings: SessionPersistence, request: RequestView, nowMs: number): Session | undefined {
  const { absoluteTimeoutMs, kind, name } = settings;
  const text = kind === 'header' ? request.header(name.toLowerCase()) : cookieValue(request.header('cookie'), name);
  const match = /^(\d{1,3})\.([0-9a-f]{16})\.([0-9a-z]{1,11})$/.exec(text ?? '');
  if (match === null) return undefined;
  const sinceMs = Number.parseInt(match[3]!, 36);
  if (absoluteTimeoutMs > 0 && nowMs - sinceMs >= absoluteTimeoutMs) return undefined;
  return { backend: Number(match[1]), token: match[2]!, sinceMs };
}

/** The header by which the answer tells the client of its session: [name, value]. */
export function sessionHeader(
  settings: SessionPersistence,
  backend: number,
  host: Host,
  sinceMs: number,
): readonly [string, string] {
  const value = `${backend}.${host.token}.${sinceMs.toString(36)}`;
  if (settings.kind === 'header') return [settings.name.toLowerCase(), value];
  const lifetime = settings.lifetimeS > 0 ? `; Max-Age=${settings.lifetimeS}` : '';
  return ['set-cookie', `${settings.name}=${value}; Path=${settings.path}${lifetime}; HttpOnly`];
}
