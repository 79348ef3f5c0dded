// SPDX-License-Identifier: Apache-2.0
//
// What an external authoriser is asked by HTTP, what its answers mean, and what they change in a request. Pure: who
// carries question and answer is the proxy's business.

import type { HeaderChanges, HeaderValue } from './route-table.ts';
import type { Provider } from './waypoint.ts';

/** A header that an authoriser wants, and what becomes of one that is there already. */
export interface HeaderOption extends HeaderValue {
  readonly action: 'append' | 'add-if-absent' | 'overwrite' | 'overwrite-if-exists';
}

/** What a client is told instead of a server's answer. */
export interface CheckDenial {
  readonly status: number;
  readonly headers: readonly HeaderOption[];
  readonly body: string;
}

export type CheckAnswer =
  | {
      readonly kind: 'allow';
      readonly headers: readonly HeaderOption[];
      readonly remove: readonly string[];
      readonly responseHeaders: readonly HeaderOption[];
      readonly setQuery: readonly HeaderValue[];
      readonly removeQuery: readonly string[];
    }
  | ({ readonly kind: 'deny' } & CheckDenial)
  /** Nobody knows whether the request may pass. */
  | { readonly kind: 'error'; readonly reason: string; readonly denial: CheckDenial | undefined };

export const ALLOWED: Extract<CheckAnswer, { kind: 'allow' }> = {
  kind: 'allow',
  headers: [],
  remove: [],
  responseHeaders: [],
  setQuery: [],
  removeQuery: [],
};

/** Kinds of providers that can be asked. */
export function isAuthoriser({ kind }: Provider): boolean {
  return kind === 'ext-authz-grpc' || kind === 'ext-authz-http';
}

/** The provider a policy names, if it can be asked. */
export function authoriserOf(providers: readonly Provider[], name: string): Provider | undefined {
  const found = providers.find((one) => one.name === name);
  return found !== undefined && isAuthoriser(found) && found.target !== undefined ? found : undefined;
}

/** `x`, `x-*`, `*-x` or `*`, of lower-case names. */
export function nameFits(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    if (pattern.startsWith('*')) return name.endsWith(pattern.slice(1));
    return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  });
}

/** What frames a message or belongs to a hop: never asked for, never taken over. */
const OWN = new Set(['connection', 'content-length', 'host', 'keep-alive', 'te', 'transfer-encoding', 'upgrade']);

/**
 * The fields of a question by HTTP, beside method, host and path, which are the request's.
 * @param fields the request's, names in lower case
 */
export function questionFields(
  { extraHeaders, requestHeaders }: Provider,
  fields: readonly HeaderValue[],
): HeaderValue[] {
  const named = (name: string): boolean => extraHeaders.some((one) => one.name === name);
  const kept = fields.filter(
    ({ name }) => !OWN.has(name) && !named(name) && (name === 'authorization' || nameFits(requestHeaders, name)),
  );
  return [...kept, ...extraHeaders];
}

/** What an answer by HTTP says: 200 allows, 5xx is no answer, everything else denies. */
export function readHttpAnswer(
  { allowHeaders, denyHeaders, upstreamHeaders }: Provider,
  status: number,
  fields: readonly HeaderValue[],
  body: string,
): CheckAnswer {
  const overwrite = ({ name, value }: HeaderValue): HeaderOption => ({ name, value, action: 'overwrite' });
  const foreign = fields.filter(({ name }) => !OWN.has(name));
  if (status === 200) {
    return {
      ...ALLOWED,
      headers: foreign.filter(({ name }) => nameFits(upstreamHeaders, name)).map(overwrite),
      responseHeaders: foreign.filter(({ name }) => nameFits(allowHeaders, name)).map(appended),
    };
  }
  if (status >= 500) return { kind: 'error', reason: `answered ${status}`, denial: undefined };
  const told = foreign.filter(
    ({ name }) => denyHeaders.length === 0 || ALWAYS_TOLD.has(name) || nameFits(denyHeaders, name),
  );
  return { kind: 'deny', status, headers: told.map(appended), body };
}

/** Without these a denied client could not do what it is told to. */
const ALWAYS_TOLD = new Set(['location', 'www-authenticate', 'proxy-authenticate', 'content-type']);

function appended({ name, value }: HeaderValue): HeaderOption {
  return { name, value, action: 'append' };
}

/**
 * Options as changes in a head.
 * @param has whether the head has a field of that name
 */
export function changesOf(
  options: readonly HeaderOption[],
  remove: readonly string[],
  has: (name: string) => boolean,
): HeaderChanges {
  const set: HeaderValue[] = [];
  const add: HeaderValue[] = [];
  for (const { action, name, value } of options) {
    if (isReserved(name)) continue;
    const there = has(name);
    if (action === 'append') add.push({ name, value });
    else if (action === 'add-if-absent') {
      if (!there) add.push({ name, value });
    } else if (action === 'overwrite' || there) set.push({ name, value });
  }
  return { set, add, remove: remove.filter((name) => !isReserved(name)) };
}

function isReserved(name: string): boolean {
  return name.startsWith(':') || OWN.has(name);
}

/** `path` with parameters set, each once, and others removed. */
export function editQuery(path: string, set: readonly HeaderValue[], remove: readonly string[]): string {
  if (set.length + remove.length === 0) return path;
  const at = path.indexOf('?');
  const gone = new Set([...set.map(({ name }) => name), ...remove].map(encodeURIComponent));
  const kept = at < 0 ? [] : path.slice(at + 1).split('&');
  const parts = [
    ...kept.filter((part) => part !== '' && !gone.has(part.split('=', 1)[0] ?? '')),
    ...set.map(({ name, value }) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`),
  ];
  const plain = at < 0 ? path : path.slice(0, at);
  return parts.length === 0 ? plain : `${plain}?${parts.join('&')}`;
}
