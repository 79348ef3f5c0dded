// SPDX-License-Identifier: Apache-2.0
// Service-account tokens for pods, bound to the pod, fetched by TokenRequest and replaced well before they expire.

import type { Clock } from '#lib/kit/clock.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { type PodObject, podName, type TokenSource } from './pod.ts';

const DEFAULT_SECONDS = 3600;
/** A token is replaced after this share of its life (as the kubelet does), or after a day. */
const RENEW_AT = 0.8;
const MAX_AGE_MS = 24 * 3600_000;

interface Held {
  readonly token: string;
  readonly renewAt: number;
}

interface TokenAnswer {
  readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
}

export class TokenManager {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** A valid token for the pod's service account, the held one while it is young enough. */
  async token(pod: PodObject, source: TokenSource): Promise<string> {
    const key = `${pod.metadata.uid}/${source.audience ?? ''}/${source.expirationSeconds ?? ''}`;
    const held = this.#held.get(key);
    const now = this.#clock.now();
    if (held !== undefined && now < held.renewAt) return held.token;
    const { namespace = 'default', name, uid } = pod.metadata;
    const account = pod.spec.serviceAccountName ?? 'default';
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${encodeURIComponent(account)}/token`;
    const answer: TokenAnswer = JSON.parse(
      await this.#client.text(path, {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            ...(source.audience === undefined || source.audience === '' ? {} : { audiences: [source.audience] }),
            expirationSeconds: source.expirationSeconds ?? DEFAULT_SECONDS,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
          },
        },
      }),
    );
    const token = answer.status?.token;
    if (token === undefined) throw new Error(`the API server gave no token for pod ${podName(pod)}`);
    const life = Date.parse(answer.status?.expirationTimestamp ?? '') - now;
    const age = Math.min((Number.isFinite(life) ? life : DEFAULT_SECONDS * 1000) * RENEW_AT, MAX_AGE_MS);
    this.#held.set(key, { token, renewAt: now + age });
    return token;
  }

  /** Forgets a pod's tokens. */
  forget(uid: string): void {
    for (const key of this.#held.keys()) if (key.startsWith(`${uid}/`)) this.#held.delete(key);
  }
}
