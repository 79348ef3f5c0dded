// SPDX-License-Identifier: Apache-2.0
//
// Which tokens a service accepts: ambit.waypoint.v1.RequestAuthentication as plain values.

import type { HeaderValue } from './route-table.ts';

export interface JwtRule {
  readonly issuer: string;
  /** Empty: any audience. */
  readonly audiences: readonly string[];
  /** A JSON Web Key Set (RFC 7517); '' when it could not be fetched. */
  readonly jwks: string;
  /** Headers that carry a token, with what stands before it. */
  readonly fromHeaders: readonly HeaderValue[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** Header that receives the payload; '' for none. */
  readonly outputPayloadHeader: string;
  /** `name`: header, `value`: claim. */
  readonly outputClaims: readonly HeaderValue[];
  readonly forwardOriginal: boolean;
  readonly spaceDelimitedClaims: readonly string[];
}

export interface RequestAuthentication {
  /** `<namespace>/<name>`. */
  readonly name: string;
  /** Keys of services; empty: all traffic of the proxy. */
  readonly services: readonly string[];
  readonly rules: readonly JwtRule[];
}
