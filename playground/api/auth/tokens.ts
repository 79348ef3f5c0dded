// SPDX-License-Identifier: Apache-2.0
// Service-account tokens: signed JWTs bound to a service account and, when asked, to a pod. A token is good as long as
// its objects live. Source: authentication.k8s.io/v1 TokenRequest, TokenReview; claims of bound tokens.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { isObject, type Json, type JsonObject, textAt } from '../json.ts';
import { serviceAccountUser, type User } from './user.ts';

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';
/** Signature checks that are remembered; a client sends the same token with every request. */
const CACHE_LIMIT = 2_000;

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: { readonly name: string; readonly uid: string };
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly node?: { readonly name: string; readonly uid: string };
}

/** Tells whether the named object still exists with that uid. */
export type Alive = (resource: 'serviceaccounts' | 'pods', namespace: string, name: string, uid: string) => boolean;

export interface TokenAnswer {
  readonly user: User;
  readonly audiences: readonly string[];
}

export class Tokens {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #now: () => number;
  readonly #alive: Alive;
  readonly #verified = new Map<string, JWTPayload>();
  #keyId = '';

  constructor(keyPem: string, now: () => number, alive: Alive) {
    this.#privateKey = createPrivateKey(keyPem);
    this.#publicKey = createPublicKey(this.#privateKey);
    this.#now = now;
    this.#alive = alive;
  }

  async issue(
    subject: TokenSubject,
    audiences: readonly string[],
    seconds: number,
  ): Promise<{ token: string; expires: Date }> {
    const issued = Math.floor(this.#now() / 1000);
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace: subject.namespace,
        serviceaccount: subject.serviceAccount,
        ...(subject.pod ? { pod: subject.pod } : {}),
        ...(subject.node ? { node: subject.node } : {}),
      },
    })
      .setProtectedHeader({ alg: 'ES256', kid: await this.#kid() })
      .setIssuer(ISSUER)
      .setSubject(`system:serviceaccount:${subject.namespace}:${subject.serviceAccount.name}`)
      .setAudience(audiences.length > 0 ? [...audiences] : [ISSUER])
      .setIssuedAt(issued)
      .setNotBefore(issued)
      .setExpirationTime(issued + seconds)
      .setJti(crypto.randomUUID())
      .sign(this.#privateKey);
    return { token, expires: new Date((issued + seconds) * 1000) };
  }

  /** Who the token names, when it is ours, current, meant for one of `audiences`, and its objects live. */
  async review(token: string, audiences: readonly string[] = [ISSUER]): Promise<TokenAnswer | undefined> {
    const claims = await this.#claims(token);
    if (!claims || (claims.exp ?? 0) * 1000 <= this.#now()) return undefined;
    const meant = [claims.aud ?? []].flat().filter((audience) => audiences.includes(audience));
    if (meant.length === 0) return undefined;
    const bound = claims['kubernetes.io'] as Json | undefined;
    const namespace = textAt(bound, 'namespace') ?? '';
    const name = textAt(bound, 'serviceaccount', 'name') ?? '';
    const uid = textAt(bound, 'serviceaccount', 'uid') ?? '';
    if (!this.#alive('serviceaccounts', namespace, name, uid)) return undefined;
    const pod = isObject(bound) ? bound['pod'] : undefined;
    if (pod && !this.#alive('pods', namespace, textAt(pod, 'name') ?? '', textAt(pod, 'uid') ?? '')) return undefined;
    return { user: serviceAccountUser(namespace, name, uid, extraOf(bound, claims.jti)), audiences: meant };
  }

  /** The public key set, as the issuer's discovery serves it. */
  async jwks(): Promise<JsonObject> {
    const key = await exportJWK(this.#publicKey);
    return { keys: [{ ...(key as JsonObject), use: 'sig', alg: 'ES256', kid: await this.#kid() }] };
  }

  async #kid(): Promise<string> {
    this.#keyId ||= await calculateJwkThumbprint(await exportJWK(this.#publicKey));
    return this.#keyId;
  }

  async #claims(token: string): Promise<JWTPayload | undefined> {
    const known = this.#verified.get(token);
    if (known) return known;
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        issuer: ISSUER,
        algorithms: ['ES256'],
        currentDate: new Date(this.#now()),
      });
      if (this.#verified.size >= CACHE_LIMIT) this.#verified.clear();
      this.#verified.set(token, payload);
      return payload;
    } catch {
      return undefined;
    }
  }
}

function extraOf(bound: Json | undefined, id: string | undefined): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  const put = (name: string, value: string | undefined): void => {
    if (value) extra[`authentication.kubernetes.io/${name}`] = [value];
  };
  put('credential-id', id && `JTI=${id}`);
  for (const kind of ['pod', 'node'] as const) {
    put(`${kind}-name`, textAt(bound, kind, 'name'));
    put(`${kind}-uid`, textAt(bound, kind, 'uid'));
  }
  return extra;
}
