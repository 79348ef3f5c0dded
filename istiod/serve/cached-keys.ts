// SPDX-License-Identifier: Apache-2.0
// Tokens while the API server is away: their signature is checked by the cluster's signing keys as they were last seen,
// and the pod they are bound to by istiod's own view of pods. For a bounded time only: a token that has been revoked
// since would still pass, so after that callers are told to come back.

import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { Pod } from '#lib/kube/object.ts';
import { Identity } from '#lib/mesh/identity.ts';
import type { Authentication } from './caller.ts';

/** The keys are read at least so often, and four times in the time that they may be used without a word of the server. */
const REFRESH_MS = 5 * 60_000;
const REFRESHES = 4;
const RETRY_MS = 10_000;

export interface CachedKeysOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audiences: readonly string[];
  readonly trustDomain: () => string;
  /** The pod, as istiod knows it. */
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** For how long after the API server was last heard tokens are judged here, ms. */
  readonly maxSilenceMs: number;
}

interface Keys {
  readonly issuer: string;
  readonly find: ReturnType<typeof createLocalJWKSet>;
}

export class CachedKeys {
  readonly #options: CachedKeysOptions;
  #keys: Keys | undefined;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(options: CachedKeysOptions) {
    this.#options = options;
  }

  /** Keeps the keys up to date until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, maxSilenceMs } = this.#options;
    while (!signal.aborted) {
      let waitMs = Math.min(REFRESH_MS, maxSilenceMs / REFRESHES);
      try {
        await this.refresh(signal);
      } catch (error) {
        log.debug('cannot read the cluster’s signing keys', { error: describeError(error) });
        waitMs = Math.min(waitMs, RETRY_MS);
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  async refresh(signal?: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const document = JSON.parse(await client.text('/.well-known/openid-configuration', { signal })) as {
      issuer?: string;
    };
    const keys = JSON.parse(await client.text('/openid/v1/jwks', { signal })) as JSONWebKeySet;
    if (typeof document.issuer !== 'string') throw new Error('the issuer document names no issuer');
    this.#keys = { issuer: document.issuer, find: createLocalJWKSet(keys) };
    this.heard();
  }

  /** The API server has answered. */
  heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
  }

  /** Judges a token without the API server. */
  async judge(token: string): Promise<Authentication> {
    const { audiences, clock, maxSilenceMs } = this.#options;
    const keys = this.#keys;
    if (keys === undefined) return { kind: 'unavailable', reason: 'the cluster’s signing keys are not known yet' };
    const silenceMs = clock.monotonic() - this.#heardAt;
    if (silenceMs > maxSilenceMs) {
      const seconds = Math.round(silenceMs / 1000);
      return { kind: 'unavailable', reason: `the API server has been silent for ${seconds} s: no token is judged` };
    }
    let payload: JWTPayload;
    try {
      const checks = { issuer: keys.issuer, audience: [...audiences], currentDate: new Date(clock.now()) };
      ({ payload } = await jwtVerify(token, keys.find, { ...checks, requiredClaims: ['exp'] }));
    } catch (error) {
      return { kind: 'unknown', reason: `the token is not valid: ${describeError(error)}` };
    }
    return this.#judgeClaims(payload);
  }

  #judgeClaims(payload: JWTPayload): Authentication {
    const { pod, trustDomain } = this.#options;
    const unknown = (reason: string): Authentication => ({ kind: 'unknown', reason });
    const bound = payload['kubernetes.io'] as
      | {
          readonly namespace?: string;
          readonly serviceaccount?: { readonly name?: string };
          readonly pod?: { readonly name?: string; readonly uid?: string };
        }
      | undefined;
    const { namespace = '', pod: claimed, serviceaccount } = bound ?? {};
    const name = claimed?.name ?? '';
    const uid = claimed?.uid ?? '';
    const account = serviceaccount?.name ?? '';
    if (namespace === '' || account === '' || name === '' || uid === '') {
      return unknown('the token is not bound to a pod: without the API server only such tokens count');
    }
    const known = pod(namespace, name);
    if (known === undefined || known.metadata.uid !== uid)
      return unknown(`pod ${namespace}/${name} (${uid}) is not known`);
    if ((known.spec?.serviceAccountName ?? 'default') !== account) {
      return unknown(`pod ${namespace}/${name} does not run as ${account}`);
    }
    return { kind: 'known', caller: { identity: new Identity(trustDomain(), namespace, account), pod: { name, uid } } };
  }
}
