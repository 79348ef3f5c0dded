// SPDX-License-Identifier: Apache-2.0
//
// Whose request is it? RequestAuthentication's answer: a token (RFC 7519) that is there must be good, one that is
// missing is no mistake (an access policy may ask for it). Reasons are worded as Envoy words them, since clients and
// dashboards know them. Verified tokens are remembered until they expire: a signature costs more than the rest of a
// request.

import { cookieValue } from '../upstream/affinity.ts';
import { isPreflight } from './cors.ts';
import { ALGORITHMS, KeySet } from './jwks.ts';
import { type Claims, claimAt, pathOf, queryValue, type RequestView } from './request.ts';
import type { JwtRule, RequestAuthentication } from './request-authentication.ts';
import type { HeaderChanges, HeaderValue } from './route-table.ts';

/** How far clocks may be apart. */
const SKEW_S = 60;
/** Verified tokens remembered by a process. */
const REMEMBERED = 1000;
/** Longer ones are refused unread. */
const LONGEST_TOKEN = 16_384;

export type AuthenticationVerdict =
  | {
      readonly kind: 'pass';
      /** undefined without a token. */
      readonly claims: Claims | undefined;
      readonly requestHeaders: HeaderChanges | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly status: 401 | 403;
      /** The body, text/plain. */
      readonly reason: string;
      readonly wwwAuthenticate: string;
    };

/** Response code details of a refusal. */
export function refusalDetails(reason: string): string {
  return `jwt_authn_access_denied{${reason.replaceAll(/[^A-Za-z0-9.]+/g, '_')}}`;
}

interface Rule {
  readonly rule: JwtRule;
  readonly keys: KeySet;
}

interface Found {
  readonly token: string;
  /** Header that held it; ''. */
  readonly header: string;
}

interface Good {
  readonly claims: Claims;
  readonly payload: string;
  readonly expiresS: number;
}

type Judged = { readonly good: Good; readonly rule: JwtRule } | string;

const AUDIENCE = 'Audiences in Jwt are not allowed';

export class JwtAuthenticator {
  readonly #rules: readonly Rule[];
  readonly #remembered = new Map<string, Good>();
  /** Names that only we may write. */
  readonly #outputs: readonly string[];

  /** All that apply to a service at this proxy; their rules are one list. */
  constructor(all: readonly RequestAuthentication[]) {
    const rules = all.flatMap((one) => one.rules);
    this.#rules = rules
      .sort((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0))
      .map((rule) => ({ rule, keys: new KeySet(rule.jwks) }));
    const outputs = rules.flatMap((rule) => [rule.outputPayloadHeader, ...rule.outputClaims.map(({ name }) => name)]);
    this.#outputs = [...new Set(outputs.filter((name) => name !== '').map((name) => name.toLowerCase()))];
  }

  authenticate(request: RequestView, nowS: number): AuthenticationVerdict {
    if (this.#rules.length === 0 || isPreflight(request))
      return { kind: 'pass', claims: undefined, requestHeaders: undefined };
    let failure = '';
    let any = false;
    for (const one of this.#rules) {
      for (const found of tokensOf(one.rule, request)) {
        any = true;
        const judged = this.#judge(one, found.token, nowS);
        if (typeof judged !== 'string') return this.#pass(judged.good, one.rule, found);
        // What a rule of the token's own issuer says tells more than that another is not its issuer.
        if (failure === '' || failure === NOT_CONFIGURED) failure = judged;
      }
    }
    if (!any) return { kind: 'pass', claims: undefined, requestHeaders: this.#changes([], []) };
    const realm = `${request.scheme}://${request.authority}${pathOf(request.path)}`.replaceAll('"', '%22');
    return {
      kind: 'refuse',
      status: failure === AUDIENCE ? 403 : 401,
      reason: failure,
      wwwAuthenticate: `Bearer realm="${realm}", error="invalid_token"`,
    };
  }

  #judge({ keys, rule }: Rule, token: string, nowS: number): Judged {
    const key = `${rule.issuer}\u0000${token}`;
    const known = this.#remembered.get(key);
    const good = known !== undefined && nowS <= known.expiresS + SKEW_S ? known : verifyToken(token, rule, keys, nowS);
    if (typeof good === 'string') return good;
    if (known === undefined) {
      if (this.#remembered.size >= REMEMBERED) {
        const [oldest] = this.#remembered.keys();
        if (oldest !== undefined) this.#remembered.delete(oldest);
      }
      this.#remembered.set(key, good);
    }
    return { good, rule };
  }

  #pass({ claims, payload }: Good, rule: JwtRule, found: Found): AuthenticationVerdict {
    const set: HeaderValue[] = [];
    if (rule.outputPayloadHeader !== '') set.push({ name: rule.outputPayloadHeader.toLowerCase(), value: payload });
    for (const { name, value: claim } of rule.outputClaims) {
      const text = headerText(claimAt(claims, claim.split('.')));
      if (text !== undefined) set.push({ name: name.toLowerCase(), value: text });
    }
    const remove = rule.forwardOriginal || found.header === '' ? [] : [found.header];
    return { kind: 'pass', claims, requestHeaders: this.#changes(set, remove) };
  }

  /** A client's own header of a name that speaks for the token goes. */
  #changes(set: readonly HeaderValue[], remove: readonly string[]): HeaderChanges | undefined {
    const spoken = new Set(set.map(({ name }) => name));
    const all = [...remove, ...this.#outputs.filter((name) => !spoken.has(name))];
    return set.length + all.length === 0 ? undefined : { set, add: [], remove: all };
  }
}

const NOT_CONFIGURED = 'Jwt issuer is not configured';

function headerText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'undefined':
      return undefined;
    case 'string':
      return /^[\x20-\x7e]*$/.test(value) ? value : undefined;
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return Buffer.from(JSON.stringify(value)).toString('base64url');
  }
}

/** Tokens where the rule looks for them; without places of its own, in Authorization and `access_token`. */
function tokensOf(rule: JwtRule, request: RequestView): Found[] {
  const { fromCookies, fromHeaders, fromParams } = rule;
  const own = fromCookies.length + fromHeaders.length + fromParams.length > 0;
  const headers = own ? fromHeaders : DEFAULT_HEADERS;
  const found: Found[] = [];
  for (const { name, value: prefix } of headers) {
    const header = name.toLowerCase();
    const text = request.header(header);
    if (text?.startsWith(prefix) === true) found.push({ token: text.slice(prefix.length).trim(), header });
  }
  for (const name of own ? fromParams : DEFAULT_PARAMS) {
    const token = queryValue(request.path, name);
    if (token !== undefined) found.push({ token, header: '' });
  }
  for (const name of fromCookies) {
    const token = cookieValue(request.header('cookie'), name);
    if (token !== undefined) found.push({ token, header: '' });
  }
  return found;
}

const DEFAULT_HEADERS: readonly HeaderValue[] = [{ name: 'authorization', value: 'Bearer ' }];
const DEFAULT_PARAMS = ['access_token'];

function json(part: string): Claims | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}

/** The token's content, or why it is refused. */
function verifyToken(token: string, rule: JwtRule, keys: KeySet, nowS: number): Good | string {
  const parts = token.split('.');
  const [head = '', payload = '', tail = ''] = parts;
  if (parts.length !== 3 || token.length > LONGEST_TOKEN) return 'Jwt is not in the form of Header.Payload.Signature';
  const header = json(head);
  if (header === undefined) return 'Jwt header is an invalid Base64url input or an invalid JSON';
  const { alg, crit, kid } = header;
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg) || crit !== undefined) {
    return 'Jwt header [alg] field value is invalid';
  }
  const claims = json(payload);
  if (claims === undefined) return 'Jwt payload is an invalid Base64 or an invalid JSON';
  if (!/^[A-Za-z0-9_-]+$/.test(tail)) return 'Jwt signature is an invalid Base64';
  if (claims['iss'] !== rule.issuer) return NOT_CONFIGURED;
  const { exp, nbf } = claims;
  if (typeof nbf === 'number' && nowS + SKEW_S < nbf) return 'Jwt not yet valid';
  if (typeof exp === 'number' && nowS > exp + SKEW_S) return 'Jwt is expired';
  if (!audienceFits(claims['aud'], rule.audiences)) return AUDIENCE;
  if (rule.jwks === '') return 'Jwks remote fetch is failed';
  if (keys.empty) return "Jwks doesn't have any valid public key";
  const candidates = keys.candidates(typeof kid === 'string' ? kid : undefined, alg);
  if (candidates.length === 0) return "Jwks doesn't have key to match kid or alg from Jwt";
  const data = Buffer.from(`${head}.${payload}`);
  const signature = Buffer.from(tail, 'base64url');
  if (!candidates.some((key) => key.verify(alg, data, signature))) return 'Jwt verification fails';
  return {
    claims: withLists(claims, rule.spaceDelimitedClaims),
    payload,
    expiresS: typeof exp === 'number' ? exp : Number.POSITIVE_INFINITY,
  };
}

function audienceFits(aud: unknown, wanted: readonly string[]): boolean {
  if (wanted.length === 0) return true;
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return list.some((one) => typeof one === 'string' && wanted.includes(one));
}

/** Claims that hold words, as lists of them. */
function withLists(claims: Claims, names: readonly string[]): Claims {
  const out = new Map(Object.entries(claims));
  for (const name of ['scope', 'permission', ...names]) {
    const value = out.get(name);
    if (typeof value === 'string')
      out.set(
        name,
        value.split(' ').filter((word) => word !== ''),
      );
  }
  return Object.fromEntries(out);
}
