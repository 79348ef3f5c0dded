// SPDX-License-Identifier: Apache-2.0
//
// The layer-7 part of a match in words. The predicates are those of http-match.ts, so the words cannot disagree with
// the verdict.

import type { Condition } from '../condition.ts';
import { CLAIM_SEPARATOR, claimTexts } from './claim.ts';
import type { AccessPattern, HttpConditions } from './conditions.ts';
import { hostHolds, isBlank, rangesHold, requestPrincipal, textOrNone, valueHolds, valuesHold } from './http-match.ts';
import { NO_SLASH } from './path-template.ts';
import { pathOf, type RequestView } from './request.ts';

/** One attribute of a match: what it wants, whether the connection satisfies it, what the connection had. */
export interface Reading {
  readonly wants: string;
  readonly holds: boolean;
  readonly has: string;
}

const NO_REQUEST = 'there is no request, only a connection';

export function httpReadings(http: HttpConditions, request: RequestView | undefined): Reading[] {
  const out: Reading[] = [];
  const add = <T>(
    label: string,
    condition: Condition<T>,
    text: (value: T) => string,
    judge: (request: RequestView) => { readonly holds: boolean; readonly value: string | undefined },
  ): void => {
    if (isBlank(condition)) return;
    const wants = wantsText(label, condition, text);
    if (request === undefined) {
      out.push({ wants, holds: false, has: NO_REQUEST });
      return;
    }
    const { holds, value } = judge(request);
    out.push({ wants, holds, has: value === undefined ? `there is no ${label}` : `the ${label} is ${value}` });
  };
  const one = (
    label: string,
    condition: HttpConditions['paths'],
    read: (of: RequestView) => string | undefined,
  ): void => add(label, condition, patternText, (of) => ({ holds: valueHolds(condition, read(of)), value: read(of) }));
  const many = (label: string, condition: HttpConditions['paths'], name: string): void =>
    add(label, condition, patternText, ({ claims }) => {
      const values = claimTexts(claims, name);
      return { holds: valuesHold(condition, values), value: values.length === 0 ? undefined : values.join(' and ') };
    });
  one('method', http.methods, (of) => of.method);
  one('path', http.paths, (of) => pathOf(of.path));
  add('host', http.hosts, patternText, ({ authority }) => ({
    holds: hostHolds(http.hosts, authority),
    value: authority,
  }));
  add('request principal', http.requestPrincipals, patternText, (of) => {
    const value = requestPrincipal(of);
    return { holds: valueHolds(http.requestPrincipals, value), value: value && shown(value) };
  });
  many('audience', http.audiences, 'aud');
  many('presenter', http.presenters, 'azp');
  one('server name', http.serverNames, (of) => textOrNone(of.serverName));
  one('source principal', http.peers, (of) => of.identity?.principal);
  add('remote address', http.remoteIps, String, ({ remoteIp }) => ({
    holds: rangesHold(http.remoteIps, remoteIp),
    value: remoteIp.text,
  }));
  for (const { name, value } of http.headers) one(`header ${name}`, value, (of) => of.header(name));
  for (const { name, value } of http.claims) many(`claim ${name.replaceAll('\u0000', '.')}`, value, name);
  return out;
}

function wantsText<T>(label: string, { any, none }: Condition<T>, text: (value: T) => string): string {
  const parts: string[] = [];
  if (any.length > 0) parts.push(`${label} ${any.map(text).join(' or ')}`);
  if (none.length > 0) parts.push(`${label} other than ${none.map(text).join(' and ')}`);
  return parts.join(' and ');
}

function patternText({ kind, value }: AccessPattern): string {
  switch (kind) {
    case 'exact':
    case 'template':
    case 'wildcard':
      return shown(value);
    case 'prefix':
      return `${shown(value)}*`;
    case 'suffix':
      return `*${shown(value)}`;
    case 'present':
      return '*';
  }
}

/** Separators that no policy writes, as the API writes them. */
function shown(value: string): string {
  return value.replaceAll(CLAIM_SEPARATOR, '/').replaceAll(NO_SLASH, '*');
}
