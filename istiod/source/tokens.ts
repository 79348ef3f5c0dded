// SPDX-License-Identifier: Apache-2.0
// Who holds a token, without an API server to ask: tokens are Secrets of the type that Kubernetes has for the tokens of
// service accounts, in files that only istiod reads.

import { timingSafeEqual } from 'node:crypto';
import type { Secret, TokenReview } from '#lib/kube/object.ts';

const TOKEN_SECRET = 'kubernetes.io/service-account-token';
const ACCOUNT = 'kubernetes.io/service-account.name';
/** Shorter ones could be guessed. */
const MIN_TOKEN_BYTES = 32;

/** The status of a TokenReview for the spec's token. */
export function reviewToken(
  secrets: readonly Secret[],
  spec: Readonly<Record<string, unknown>>,
): NonNullable<TokenReview['status']> {
  const given = Buffer.from(String(spec['token'] ?? ''));
  const audiences = Array.isArray(spec['audiences']) ? (spec['audiences'] as string[]) : [];
  for (const { data, metadata, type } of secrets) {
    const account = metadata.annotations?.[ACCOUNT] ?? '';
    if (type !== TOKEN_SECRET || account === '') continue;
    const token = Buffer.from(data?.['token'] ?? '', 'base64');
    if (token.length < MIN_TOKEN_BYTES || token.length !== given.length || !timingSafeEqual(token, given)) continue;
    const username = `system:serviceaccount:${metadata.namespace ?? ''}:${account}`;
    return { authenticated: true, audiences, user: { username, groups: ['system:serviceaccounts'] } };
  }
  return { authenticated: false, error: 'no Secret of a service account holds this token' };
}
