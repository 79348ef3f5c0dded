// SPDX-License-Identifier: Apache-2.0
// What ending this proxy now would cut: a forecast, not a promise. A connection that has lived longer than the drain deadline will most
// likely outlive it too and be cut; a younger one will most likely end by itself.
import type { LiveConnection } from '../data-plane.ts';

export interface DrainPlan {
  /** What is open after so long is cut. */
  readonly deadlineMs: number;
  readonly open: number;
  /** Those expected to end by themselves. */
  readonly finishing: number;
  /** Those expected to be cut, oldest first. */
  readonly cut: readonly {
    readonly workload: string;
    readonly direction: 'inbound' | 'outbound';
    readonly src: string;
    readonly dst: string;
    readonly ageMs: number;
  }[];
}

export function drainPlan(live: readonly LiveConnection[], deadlineMs: number): DrainPlan {
  const cut = live
    .filter(({ ageMs }) => ageMs >= deadlineMs)
    .sort((a, b) => b.ageMs - a.ageMs)
    .map(({ actualDst, ageMs, direction, src, workload }) => ({ workload, direction, src, dst: actualDst, ageMs }));
  return { deadlineMs, open: live.length, finishing: live.length - cut.length, cut };
}
