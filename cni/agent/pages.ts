// SPDX-License-Identifier: Apache-2.0
// What the agent's `/debug/pods` says: the pods it holds, and of each the connections from before its enrolment that go past the
// proxy. `ambit explain` reads it.
import type { Enrolment } from './enrolment.ts';

export interface PodPage {
  /** namespace/name. */
  readonly pod: string;
  readonly state: string;
  /** Until such connections are ended, in ms; absent without any. */
  readonly endsInMs?: number;
  /** Both ends, `ip:port`. */
  readonly open: readonly { readonly local: string; readonly remote: string }[];
}

/** `now` is monotonic ms, `limitMs` how long connections from before the enrolment may live. */
export function podPages(
  pods: readonly Pick<Enrolment, 'key' | 'state' | 'open' | 'since'>[],
  now: number,
  limitMs: number,
): PodPage[] {
  return pods.map(({ key, open, since, state }) => ({
    pod: key,
    state,
    ...(open.length === 0 ? {} : { endsInMs: Math.max(0, Math.round(since + limitMs - now)) }),
    open: open.map(({ local, remote }) => ({ local: `${local}`, remote: `${remote}` })),
  }));
}
