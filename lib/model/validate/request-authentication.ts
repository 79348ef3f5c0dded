// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a RequestAuthentication.

import type { CustomObject } from '../object/object.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkTargets, type Targeted } from './target-refs.ts';

interface JwtRule {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly jwks?: string;
  readonly jwksUri?: string;
  readonly fromHeaders?: readonly { readonly name?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
  readonly outputClaimToHeaders?: readonly { readonly header?: string; readonly claim?: string }[];
}

export function checkRequestAuthentication(object: CustomObject): ObjectProblem[] {
  const list = new ProblemList(object);
  const spec = object.spec as (Targeted & { readonly jwtRules?: readonly JwtRule[] }) | undefined;
  checkTargets(list, spec);
  (spec?.jwtRules ?? []).forEach((rule, i) => {
    checkRule(list, rule, `spec.jwtRules[${i}]`);
  });
  return list.problems;
}

function checkRule(list: ProblemList, rule: JwtRule, at: string): void {
  const { audiences, fromCookies, fromHeaders, fromParams, issuer = '', jwks = '', jwksUri = '' } = rule;
  if (issuer === '' && jwksUri === '') {
    list.error('MissingField', `${at}.issuer`, 'is required without jwksUri', 'name who issues the tokens');
  }
  if (jwks !== '' && jwksUri !== '') {
    list.warning('ConflictingFields', `${at}.jwksUri`, 'is not read beside jwks', 'keep one of them');
  }
  if (jwksUri !== '' && !/^https?:\/\/[^/]/.test(jwksUri)) {
    list.error('InvalidValue', `${at}.jwksUri`, `"${jwksUri}" is no address of keys`, 'write https://…');
  }
  if (jwks !== '' && !isKeySet(jwks)) {
    list.error('InvalidValue', `${at}.jwks`, 'is no set of keys', 'write {"keys": [...]} as JSON');
  }
  for (const [field, texts] of Object.entries({ audiences, fromParams, fromCookies })) {
    texts?.forEach((text, i) => {
      if (text === '') list.error('MissingField', `${at}.${field}[${i}]`, 'is empty', 'write a name, or remove it');
    });
  }
  fromHeaders?.forEach(({ name = '' }, i) => {
    if (name === '') list.error('MissingField', `${at}.fromHeaders[${i}].name`, 'is empty', 'name a header');
  });
  rule.outputClaimToHeaders?.forEach(({ claim = '', header = '' }, i) => {
    const field = `${at}.outputClaimToHeaders[${i}]`;
    if (claim === '') list.error('MissingField', `${field}.claim`, 'is empty', 'name a claim');
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header)) {
      list.error('InvalidValue', `${field}.header`, `"${header}" can be no header`, 'write a header’s name');
    }
  });
}

function isKeySet(text: string): boolean {
  try {
    const value = JSON.parse(text) as { readonly keys?: unknown } | null;
    return Array.isArray(value?.keys);
  } catch {
    return false;
  }
}
