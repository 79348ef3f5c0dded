// SPDX-License-Identifier: Apache-2.0
// The arithmetic of a Deployment's rolling update, without any I/O: given what each ReplicaSet has, what should it have?
// Source: Kubernetes documentation, "Deployments, rolling update".
import type { Json } from '../api/json.ts';
import { share } from './pods.ts';

/** One ReplicaSet's numbers. */
export interface SetSize {
  readonly replicas: number;
  readonly available: number;
}

export interface RolloutLimits {
  readonly surge: number;
  readonly unavailable: number;
}

/** Limits in pods; both zero would never move, so one may be unavailable then. */
export function limitsOf(desired: number, maxSurge: Json | undefined, maxUnavailable: Json | undefined): RolloutLimits {
  const surge = share(maxSurge, desired, 'up');
  const unavailable = share(maxUnavailable, desired, 'down');
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

/** Sizes to move to: the new set grows within the surge, old ones shrink while enough pods stay available. */
export function nextSizes(
  desired: number,
  limits: RolloutLimits,
  fresh: SetSize,
  old: readonly SetSize[],
): { fresh: number; old: number[] } {
  const total = fresh.replicas + old.reduce((sum, set) => sum + set.replicas, 0);
  const room = Math.max(0, desired + limits.surge - total);
  const grown = fresh.replicas > desired ? desired : Math.min(desired, fresh.replicas + room);
  const minimum = desired - limits.unavailable;
  const freshMissing = fresh.replicas - fresh.available;
  let spare = Math.max(0, total - minimum - freshMissing);
  const sizes = old.map((set) => set.replicas);
  // Pods that do not serve anyway go first.
  old.forEach((set, index) => {
    const broken = Math.min(spare, Math.max(0, set.replicas - set.available));
    sizes[index] = sizes[index]! - broken;
    spare -= broken;
  });
  const available = fresh.available + old.reduce((sum, set) => sum + set.available, 0);
  let serving = Math.max(0, Math.min(spare, available - minimum));
  for (let index = 0; index < sizes.length && serving > 0; index++) {
    const drop = Math.min(sizes[index]!, serving);
    sizes[index] = sizes[index]! - drop;
    serving -= drop;
  }
  return { fresh: grown, old: sizes };
}
