// SPDX-License-Identifier: Apache-2.0
//
// RequestAuthentication (security.istio.io/v1) as what waypoints check tokens by. Key sets that are not in the object
// are fetched by the control plane; one that is not there yet refuses its tokens.

import type { RequestAuthentication as Authentication, JwtRule } from '#lib/mesh/http/request-authentication.ts';
import type { HeaderValue } from '#lib/mesh/http/route-table.ts';
import { type CustomObject, keyOf, type Selector } from '../object/object.ts';
import type { TargetRef } from './authorization-spec.ts';

export interface JwtRuleSpec {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly jwksUri?: string;
  readonly jwks?: string;
  readonly fromHeaders?: readonly { readonly name?: string; readonly prefix?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
  readonly outputPayloadToHeader?: string;
  readonly outputClaimToHeaders?: readonly { readonly header?: string; readonly claim?: string }[];
  readonly forwardOriginalToken?: boolean;
  readonly spaceDelimitedClaims?: readonly string[];
  readonly timeout?: string;
}

export interface RequestAuthentication extends CustomObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly targetRef?: TargetRef;
    readonly targetRefs?: readonly TargetRef[];
    readonly jwtRules?: readonly JwtRuleSpec[];
  } & Readonly<Record<string, unknown>>;
}

/** The key set of an issuer that the object does not hold; '' when it could not be had. */
export type FetchedKeys = (issuer: string, jwksUri: string) => string;

/** @param services keys of those it is for; empty when it is for all traffic of the proxy */
export function convertRequestAuthentication(
  object: RequestAuthentication,
  services: readonly string[],
  fetched: FetchedKeys,
): Authentication {
  return {
    name: keyOf(object),
    services,
    rules: (object.spec?.jwtRules ?? []).map((rule) => convertJwtRule(rule, fetched)),
  };
}

function convertJwtRule(spec: JwtRuleSpec, fetched: FetchedKeys): JwtRule {
  const { issuer = '', jwks = '', jwksUri = '' } = spec;
  return {
    issuer,
    audiences: spec.audiences ?? [],
    jwks: jwks === '' ? fetched(issuer, jwksUri) : jwks,
    fromHeaders: (spec.fromHeaders ?? []).map(
      ({ name = '', prefix = '' }): HeaderValue => ({ name: name.toLowerCase(), value: prefix }),
    ),
    fromParams: spec.fromParams ?? [],
    fromCookies: spec.fromCookies ?? [],
    outputPayloadHeader: (spec.outputPayloadToHeader ?? '').toLowerCase(),
    outputClaims: (spec.outputClaimToHeaders ?? []).map(
      ({ claim = '', header = '' }): HeaderValue => ({ name: header.toLowerCase(), value: claim }),
    ),
    forwardOriginal: spec.forwardOriginalToken ?? false,
    spaceDelimitedClaims: spec.spaceDelimitedClaims ?? [],
  };
}
