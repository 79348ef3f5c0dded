// SPDX-License-Identifier: Apache-2.0
//
// The layer-7 part of the match algebra: one function a kind, with the same meaning of lists as at layer 4. What a
// request does not have fits no wanted pattern and no excluded one.

import type { Cidr } from '../cidr.ts';
import type { Condition } from '../condition.ts';
import type { Ip } from '../ip.ts';
import { CLAIM_SEPARATOR, claimTexts } from './claim.ts';
import type { AccessCondition, AccessPattern, HttpConditions } from './conditions.ts';
import { templateMatches, wildcardMatches } from './path-template.ts';
import { hostOf, pathOf, type RequestView } from './request.ts';

export function httpHolds(http: HttpConditions, request: RequestView): boolean {
  return (
    (isBlank(http.methods) || valueHolds(http.methods, request.method)) &&
    (isBlank(http.paths) || valueHolds(http.paths, pathOf(request.path))) &&
    (isBlank(http.hosts) || hostHolds(http.hosts, request.authority)) &&
    (isBlank(http.requestPrincipals) || valueHolds(http.requestPrincipals, requestPrincipal(request))) &&
    (isBlank(http.audiences) || valuesHold(http.audiences, claimTexts(request.claims, 'aud'))) &&
    (isBlank(http.presenters) || valuesHold(http.presenters, claimTexts(request.claims, 'azp'))) &&
    (isBlank(http.serverNames) || valueHolds(http.serverNames, textOrNone(request.serverName))) &&
    (isBlank(http.peers) || valueHolds(http.peers, request.identity?.principal)) &&
    (isBlank(http.remoteIps) || rangesHold(http.remoteIps, request.remoteIp)) &&
    namedHold(http, request)
  );
}

function namedHold(http: HttpConditions, request: RequestView): boolean {
  for (const { name, value } of http.headers) if (!valueHolds(value, request.header(name))) return false;
  for (const { name, value } of http.claims) if (!valuesHold(value, claimTexts(request.claims, name))) return false;
  return true;
}

export function isBlank({ any, none }: Condition<unknown>): boolean {
  return any.length + none.length === 0;
}

export function textOrNone(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** Issuer and subject of the request's token, which no slash in either can shift; undefined without one. */
export function requestPrincipal({ claims }: RequestView): string | undefined {
  if (claims === undefined) return undefined;
  const [issuer = '', subject = ''] = [claims['iss'], claims['sub']].map((one) => (typeof one === 'string' ? one : ''));
  return `${issuer}${CLAIM_SEPARATOR}${subject}`;
}

/** @param value undefined when there is none */
export function valueHolds({ any, none }: AccessCondition, value: string | undefined): boolean {
  if (value === undefined) return any.length === 0;
  return (any.length === 0 || anyPattern(any, value)) && (none.length === 0 || !anyPattern(none, value));
}

/** Of several values one that fits is enough, for wanted and for excluded ones. */
export function valuesHold({ any, none }: AccessCondition, values: readonly string[]): boolean {
  if (any.length > 0 && !values.some((value) => anyPattern(any, value))) return false;
  return none.length === 0 || !values.some((value) => anyPattern(none, value));
}

/** Without case: patterns come in lower case. One without a port fits the host whatever its port. */
export function hostHolds({ any, none }: AccessCondition, authority: string): boolean {
  const full = authority.toLowerCase();
  const bare = hostOf(full);
  return (any.length === 0 || anyHost(any, full, bare)) && (none.length === 0 || !anyHost(none, full, bare));
}

function anyHost(list: readonly AccessPattern[], full: string, bare: string): boolean {
  for (const pattern of list) if (patternMatches(pattern, full) || patternMatches(pattern, bare)) return true;
  return false;
}

export function rangesHold({ any, none }: Condition<Cidr>, ip: Ip): boolean {
  const hits = (list: readonly Cidr[]): boolean => list.some((range) => range.contains(ip));
  return (any.length === 0 || hits(any)) && (none.length === 0 || !hits(none));
}

function anyPattern(list: readonly AccessPattern[], value: string): boolean {
  for (const pattern of list) if (patternMatches(pattern, value)) return true;
  return false;
}

/** Case-sensitive. */
export function patternMatches({ kind, value }: AccessPattern, text: string): boolean {
  switch (kind) {
    case 'exact':
      return text === value;
    case 'prefix':
      return text.startsWith(value);
    case 'suffix':
      return text.endsWith(value);
    case 'present':
      return text !== '';
    case 'template':
      return templateMatches(value, text);
    case 'wildcard':
      return wildcardMatches(value, text);
  }
}
