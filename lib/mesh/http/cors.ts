// SPDX-License-Identifier: Apache-2.0
//
// Cross-origin requests (Fetch standard, section 3.2): which origins a route lets read its answers. A preflight is
// answered here; the answer to another request gets headers. `*` is never sent where credentials are allowed.

import { Pattern } from './pattern.ts';
import type { RequestView } from './request.ts';
import type { Cors, HeaderChanges, HeaderValue } from './route-table.ts';

const ORIGINS = new WeakMap<Cors, readonly Pattern[]>();

function originMatches(cors: Cors, origin: string): boolean {
  let patterns = ORIGINS.get(cors);
  if (patterns === undefined) {
    patterns = cors.origins.map((one) => new Pattern(one));
    ORIGINS.set(cors, patterns);
  }
  return patterns.some((one) => one.test(origin));
}

/** `OPTIONS` that asks for permission. */
export function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.header('origin') !== undefined &&
    request.header('access-control-request-method') !== undefined
  );
}

/** Headers of the answer to a preflight; empty for an origin that does not match, undefined to ask the backend. */
export function preflightHeaders(cors: Cors, request: RequestView): readonly HeaderValue[] | undefined {
  const origin = request.header('origin') ?? '';
  if (!originMatches(cors, origin)) return cors.forwardUnmatched ? undefined : [];
  const headers: HeaderValue[] = [{ name: 'access-control-allow-origin', value: origin }, VARY];
  if (cors.credentials) headers.push({ name: 'access-control-allow-credentials', value: 'true' });
  const add = (name: string, values: readonly string[], asked: string | undefined): void => {
    if (values.length === 0) return;
    const all = values.includes('*');
    if (all && cors.credentials) {
      if (asked !== undefined) headers.push({ name, value: asked });
    } else {
      headers.push({ name, value: all ? '*' : values.join(', ') });
    }
  };
  add('access-control-allow-methods', cors.methods, request.header('access-control-request-method'));
  add('access-control-allow-headers', cors.headers, request.header('access-control-request-headers'));
  if (cors.maxAgeS !== undefined) headers.push({ name: 'access-control-max-age', value: String(cors.maxAgeS) });
  return headers;
}

const VARY: HeaderValue = { name: 'vary', value: 'Origin' };

/** What the answer to a cross-origin request gets; undefined when it is none, or its origin does not match. */
export function corsChanges(cors: Cors, request: RequestView): HeaderChanges | undefined {
  const origin = request.header('origin');
  if (origin === undefined || !originMatches(cors, origin)) return undefined;
  const set: HeaderValue[] = [{ name: 'access-control-allow-origin', value: origin }];
  if (cors.credentials) set.push({ name: 'access-control-allow-credentials', value: 'true' });
  if (cors.expose.length > 0) set.push({ name: 'access-control-expose-headers', value: cors.expose.join(', ') });
  return { set, add: [VARY], remove: [] };
}
