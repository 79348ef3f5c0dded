// SPDX-License-Identifier: Apache-2.0
// Conditions: what an object's status says now against what it should say. Pure, so that "nothing changed, nothing
// written" is a matter of a test.

import type { Condition } from '#lib/kube/object.ts';

/** What is to be said about an object. */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  /** UpperCamelCase. */
  readonly reason: string;
  readonly message: string;
}

/**
 * The conditions to write, or undefined when what stands there says the same.
 * @param owned types of conditions that are ours: one that is no longer wanted is removed
 * @param now wall-clock ms
 */
export function conditionsToWrite(
  existing: readonly Condition[],
  wanted: readonly WantedCondition[],
  owned: ReadonlySet<string>,
  generation: number | undefined,
  now: number,
): Condition[] | undefined {
  const stale = existing.some(({ type }) => owned.has(type) && !wanted.some((condition) => condition.type === type));
  let changed = stale;
  const result = wanted.map((condition): Condition => {
    const old = existing.find(({ type }) => type === condition.type);
    const same =
      old !== undefined &&
      old.status === condition.status &&
      old.reason === condition.reason &&
      old.message === condition.message &&
      // The object store may give whole numbers back as text.
      Number(old.observedGeneration ?? 0) === (generation ?? 0);
    if (!same) changed = true;
    const lastTransitionTime =
      old !== undefined && old.status === condition.status && old.lastTransitionTime !== undefined
        ? old.lastTransitionTime
        : new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
    return {
      type: condition.type,
      status: condition.status,
      reason: condition.reason,
      message: condition.message,
      lastTransitionTime,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  });
  return changed ? result : undefined;
}
