// SPDX-License-Identifier: Apache-2.0
// Who is calling: a client certificate of the mesh, or a service-account token, checked by the API server's TokenReview,
// and while the API server is away by its signing keys. No answer is no verdict: the caller is told to come back, not
// that it is a stranger.

import { hash } from 'node:crypto';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import { Gate } from '#lib/kit/gate.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { TokenReview } from '#lib/kube/object.ts';
import { Identity } from '#lib/mesh/identity.ts';
import type { CachedKeys } from './cached-keys.ts';
import type { Authentication, Credentials } from './caller.ts';
import { judgeCertificate } from './client-certificate.ts';
import type { ForwardedCertificates } from './forwarded.ts';
import type { OwnIssuer } from './issuer-rule.ts';

const BEARER = 'Bearer ';
const USER_PREFIX = 'system:serviceaccount:';
const GROUP = 'system:serviceaccounts';
const EXTRA_POD_NAME = 'authentication.kubernetes.io/pod-name';
const EXTRA_POD_UID = 'authentication.kubernetes.io/pod-uid';
/** A node proxy asks for many certificates at once with one token: those are one review. Short, so that a deleted
 * pod's token is worth nothing soon. */
const REMEMBER_MS = 5_000;
const MAX_REMEMBERED = 2_048;
/** Anybody may come with any token: what reaches the API server at a time is bounded, and so is who waits for it. */
const MAX_REVIEWS = 32;
const MAX_WAITING = 512;
/** A caller waits for its certificate 10 s: that has to be enough for the API server's silence and our own answer. */
const REVIEW_TIMEOUT_MS = 3_000;
/** A silent API server is not asked again at once. */
const SILENT_MS = 2_000;
const REVIEW_PATH = '/apis/authentication.k8s.io/v1/tokenreviews';

export interface AuthenticatorOptions {
  readonly client: KubeClient;
  /** API servers of other clusters of the mesh, by cluster id. */
  readonly remote?: (cluster: string) => KubeClient | undefined;
  readonly clock: Clock;
  readonly audiences: readonly string[];
  readonly clusterId: string;
  /** The mesh's trust domain at the time of the call. */
  readonly trustDomain: () => string;
  /** Other names of the trust domain: a certificate of one of them counts as well. */
  readonly trustDomainAliases?: () => readonly string[];
  /** Judges tokens of an issuer of one's own. */
  readonly ownIssuer?: OwnIssuer | undefined;
  /** Judges tokens while the API server is away. */
  readonly cachedKeys?: CachedKeys;
  /** Judges what gateways say of their clients; without it nobody is believed. */
  readonly forwarded?: ForwardedCertificates | undefined;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #gate = new Gate(MAX_REVIEWS, MAX_WAITING);
  readonly #reviews = new Map<string, { readonly untilMs: number; readonly review: Promise<Authentication> }>();
  #silentUntil = Number.NEGATIVE_INFINITY;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** Checks the certificate, then the token, then what a gateway says; the first that proves something counts. */
  async authenticate(shown: Credentials): Promise<Authentication> {
    const own = await this.#judgeOwn(shown);
    const claimed =
      shown.forwarded && own.kind === 'unknown' ? this.#options.forwarded?.judge(shown.forwarded) : undefined;
    if (own.kind !== 'unknown' || claimed === undefined) return own;
    return claimed.kind === 'unknown' ? { ...claimed, reason: `${own.reason}; ${claimed.reason}` } : claimed;
  }

  /** By what the caller itself shows. */
  async #judgeOwn({ authorization: header, certificate, cluster }: Credentials): Promise<Authentication> {
    const { clock, clusterId, trustDomain, trustDomainAliases } = this.#options;
    const reasons: string[] = [];
    if (certificate !== undefined) {
      const judged = judgeCertificate(certificate, [trustDomain(), ...(trustDomainAliases?.() ?? [])]);
      if (judged.kind === 'known') return judged;
      reasons.push(judged.reason);
    }
    const unknown = (reason: string): Authentication => ({ kind: 'unknown', reason: [...reasons, reason].join('; ') });
    if (!header.startsWith(BEARER) || header.length === BEARER.length) {
      return unknown('no token: the metadata "authorization" has no "Bearer <token>"');
    }
    const home = cluster === '' || cluster === clusterId ? undefined : this.#options.remote?.(cluster);
    if (cluster !== '' && cluster !== clusterId && home === undefined) {
      return unknown(
        `the token is of cluster ${JSON.stringify(cluster)}, which is not known; this one is ${clusterId}`,
      );
    }
    const token = header.slice(BEARER.length).trim();
    const own = home === undefined ? await this.#options.ownIssuer?.judge(token) : undefined;
    if (own?.kind === 'known') return own;
    if (own?.kind === 'unknown') return unknown(own.reason);
    const key = hash('sha256', `${home === undefined ? '' : cluster} ${token}`, 'hex');
    const now = clock.monotonic();
    const remembered = this.#reviews.get(key);
    if (remembered !== undefined && remembered.untilMs > now) return await remembered.review;
    const review = home === undefined ? this.#review(token) : this.#reviewRemote(token, cluster, home);
    this.#reviews.delete(key);
    this.#reviews.set(key, { untilMs: now + REMEMBER_MS, review });
    if (this.#reviews.size > MAX_REMEMBERED) this.#reviews.delete(this.#reviews.keys().next().value ?? key);
    const result = await review;
    // Only a success is worth remembering: whoever was refused may come back with a better answer at once.
    if (result.kind !== 'known') this.#reviews.delete(key);
    return result;
  }

  /** At the API server of the cluster that the token is of; there is nobody to stand in for it. */
  async #reviewRemote(token: string, cluster: string, client: KubeClient): Promise<Authentication> {
    const { audiences, trustDomain } = this.#options;
    try {
      const answer = await this.#ask(client, token);
      if (answer === undefined) return { kind: 'unavailable', reason: 'too many callers are being checked: try again' };
      const judged = judgeReview(answer.status, audiences, trustDomain());
      return judged.kind === 'known' ? { ...judged, caller: { ...judged.caller, cluster } } : judged;
    } catch (error) {
      return { kind: 'unavailable', reason: `cluster ${cluster} cannot check the token: ${describeError(error)}` };
    }
  }

  async #review(token: string): Promise<Authentication> {
    const { audiences, cachedKeys, client, clock, trustDomain } = this.#options;
    if (cachedKeys !== undefined && clock.monotonic() < this.#silentUntil) return await cachedKeys.judge(token);
    let answer: TokenReview | undefined;
    try {
      answer = await this.#ask(client, token);
    } catch (error) {
      if (cachedKeys !== undefined && isKubeError(error, 'KUBE_UNREACHABLE')) {
        this.#silentUntil = clock.monotonic() + SILENT_MS;
        return await cachedKeys.judge(token);
      }
      return { kind: 'unavailable', reason: `the token cannot be checked: ${describeError(error)}` };
    }
    if (answer === undefined) return { kind: 'unavailable', reason: 'too many callers are being checked: try again' };
    cachedKeys?.heard();
    return judgeReview(answer.status, audiences, trustDomain());
  }

  /** Undefined when too many wait already. */
  #ask(client: KubeClient, token: string): Promise<TokenReview | undefined> {
    const spec = { token, audiences: [...this.#options.audiences] };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' }, spec };
    return this.#gate.run(
      async () => JSON.parse(await client.text(REVIEW_PATH, { body, timeoutMs: REVIEW_TIMEOUT_MS })) as TokenReview,
    );
  }
}

/** What a TokenReview's status says about the caller. Pure. */
export function judgeReview(
  status: TokenReview['status'],
  audiences: readonly string[],
  trustDomain: string,
): Authentication {
  const unknown = (reason: string): Authentication => ({ kind: 'unknown', reason });
  if (status?.authenticated !== true) return unknown(`the token is not valid: ${status?.error ?? 'not authenticated'}`);
  const granted = status.audiences ?? [];
  // A server that names no audiences is one that does not know them; it has checked its own.
  if (audiences.length > 0 && granted.length > 0 && !granted.some((audience) => audiences.includes(audience))) {
    return unknown(`the token is for ${granted.join(', ')}, not for ${audiences.join(' or ')}`);
  }
  const username = status.user?.username ?? '';
  const [namespace, serviceAccount, ...rest] = username.slice(USER_PREFIX.length).split(':');
  if (!username.startsWith(USER_PREFIX) || !namespace || !serviceAccount || rest.length > 0) {
    return unknown(`the token is of ${JSON.stringify(username)}, which is no service account`);
  }
  if (!(status.user?.groups ?? []).includes(GROUP)) return unknown(`${username} is not in the group ${GROUP}`);
  const name = status.user?.extra?.[EXTRA_POD_NAME]?.[0];
  const uid = status.user?.extra?.[EXTRA_POD_UID]?.[0];
  return {
    kind: 'known',
    caller: {
      identity: new Identity(trustDomain, namespace, serviceAccount),
      pod: name === undefined || uid === undefined ? undefined : { name, uid },
    },
  };
}
