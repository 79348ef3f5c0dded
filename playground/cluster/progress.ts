// SPDX-License-Identifier: Apache-2.0
// What the supervisor tells `playground up` over the lifeline, and the one word it is told back.

export type Progress =
  | { readonly kind: 'step'; readonly step: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string };

/** Sent by `up` before it leaves: the cluster stays without it. */
export const DETACH = 'detach\n';
