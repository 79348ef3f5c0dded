// SPDX-License-Identifier: Apache-2.0
// Tokens of an issuer of one's own (`JWT_RULE`), for callers that have no account in any cluster: machines, and proxies
// that another system vouches for. The subject names namespace and account as Kubernetes writes them.

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { Identity } from '#lib/mesh/identity.ts';
import type { Authentication } from './caller.ts';

const SUBJECT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** The setting, read. */
export interface IssuerRule {
  readonly issuer: string;
  /** One of these the token must be for. */
  readonly audiences: readonly string[];
  readonly jwksUri: string | undefined;
  readonly jwks: JSONWebKeySet | undefined;
}

/** Reads `{"issuer": …, "audiences": […], "jwksUri": … or "jwks": …}`, the fields of a RequestAuthentication's rule. */
export function readIssuerRule(text: string): Result<IssuerRule> {
  const problem = (message: string, fix: string) => fail({ field: 'JWT_RULE', message, fix });
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return problem('is no JSON', 'write {"issuer": "https://…", "audiences": ["istio-ca"], "jwksUri": "https://…"}');
  }
  const { audiences, issuer, jwks } = value;
  const jwksUri = value['jwksUri'] ?? value['jwks_uri'];
  if (typeof issuer !== 'string' || issuer === '') return problem('names no issuer', 'add "issuer"');
  if (!Array.isArray(audiences) || audiences.length === 0)
    return problem('names no audiences', 'add "audiences": ["istio-ca"]');
  if (typeof jwksUri === 'string' && URL.canParse(jwksUri)) {
    return ok({ issuer, audiences: audiences.map(String), jwksUri, jwks: undefined });
  }
  const keys = keySet(jwks);
  if (keys === undefined)
    return problem('names no keys', 'add "jwksUri": "https://…", or the key set itself as "jwks"');
  return ok({ issuer, audiences: audiences.map(String), jwksUri: undefined, jwks: keys });
}

function keySet(jwks: unknown): JSONWebKeySet | undefined {
  try {
    const value: unknown = typeof jwks === 'string' ? JSON.parse(jwks) : jwks;
    const { keys } = value as { readonly keys?: unknown };
    return Array.isArray(keys) ? (value as JSONWebKeySet) : undefined;
  } catch {
    return undefined;
  }
}

export class OwnIssuer {
  readonly #rule: IssuerRule;
  readonly #options: { readonly clock: Clock; readonly trustDomain: () => string };
  readonly #keys: JWTVerifyGetKey;

  constructor(rule: IssuerRule, options: { readonly clock: Clock; readonly trustDomain: () => string }) {
    this.#rule = rule;
    this.#options = options;
    this.#keys =
      rule.jwks === undefined ? createRemoteJWKSet(new URL(rule.jwksUri ?? '')) : createLocalJWKSet(rule.jwks);
  }

  /** Judges a token of this issuer; undefined for every other one. */
  async judge(token: string): Promise<Authentication | undefined> {
    const { audiences, issuer } = this.#rule;
    if (issuerOf(token) !== issuer) return undefined;
    let subject: string;
    try {
      const checks = { issuer, audience: [...audiences], currentDate: new Date(this.#options.clock.now()) };
      const { payload } = await jwtVerify(token, this.#keys, { ...checks, requiredClaims: ['exp', 'sub'] });
      subject = payload.sub ?? '';
    } catch (error) {
      return { kind: 'unknown', reason: `the token of ${issuer} is not valid: ${describeError(error)}` };
    }
    const [, namespace, account] = SUBJECT.exec(subject) ?? [];
    if (namespace === undefined || account === undefined) {
      return { kind: 'unknown', reason: `the subject ${JSON.stringify(subject)} is no service account` };
    }
    // Bound to no pod: such a caller may not ask for others' identities.
    return {
      kind: 'known',
      caller: { identity: new Identity(this.#options.trustDomain(), namespace, account), pod: undefined },
    };
  }
}

function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}
