// SPDX-License-Identifier: Apache-2.0
// Who a token that proves nothing says it is of: for the log alone, so that whoever looks for a refused caller finds it.

import { decodeJwt } from 'jose';
import { textOf } from '#lib/kit/text-of.ts';

/** The subject of a bearer token, and the pod it says it is bound to; nothing of it is verified. Undefined when it says nothing. */
export function claimedSubject(authorization: string): string | undefined {
  try {
    const { sub, 'kubernetes.io': bound } = decodeJwt(authorization.replace(/^Bearer /, ''));
    if (typeof sub !== 'string') return undefined;
    const { pod } = (bound ?? {}) as { readonly pod?: { readonly name?: unknown } };
    return pod?.name === undefined ? textOf(sub) : `${textOf(sub)}, pod ${textOf(pod.name)}`;
  } catch {
    return undefined;
  }
}
