// SPDX-License-Identifier: Apache-2.0
// From what is to be said to the status to write, given the one that stands there: times of transition are kept, what
// other controllers wrote is kept, and when nothing differs there is nothing to write. Pure.

import { isDeepStrictEqual } from 'node:util';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import type { GatewayStatus, StatusCondition } from '#lib/model/gateway/gateway-status.ts';
import { conditionsToWrite } from '../status/conditions.ts';
import type { Status } from '../status/object-status.ts';

/** Conditions as they are to stand, ours first; the very list that stands there when it says the same. */
export function mergeConditions(
  existing: readonly Condition[],
  wanted: readonly StatusCondition[],
  generation: number | undefined,
  now: number,
): readonly Condition[] {
  const owned = new Set(wanted.map(({ type }) => type));
  const own = conditionsToWrite(existing, wanted, owned, generation, now);
  return own === undefined ? existing : [...own, ...existing.filter(({ type }) => !owned.has(type))];
}

export function nextClassStatus(
  object: GenericObject,
  wanted: readonly StatusCondition[] | undefined,
  now: number,
): Status | undefined {
  if (wanted === undefined) return undefined;
  const existing = conditionsOf(object.status);
  const conditions = mergeConditions(existing, wanted, object.metadata.generation, now);
  return conditions === existing ? undefined : { ...object.status, conditions };
}

/** Of a Gateway, or of a set of listeners, which has no addresses. */
export function nextGatewayStatus(
  object: GenericObject,
  wanted: (Omit<GatewayStatus, 'addresses'> & Partial<GatewayStatus>) | undefined,
  now: number,
): Status | undefined {
  if (wanted === undefined) return undefined;
  const { generation } = object.metadata;
  const listeners = (object.status?.['listeners'] ?? []) as readonly (Status & { readonly name?: string })[];
  const status = {
    ...object.status,
    ...(wanted.addresses && { addresses: wanted.addresses }),
    conditions: mergeConditions(conditionsOf(object.status), wanted.conditions, generation, now),
    listeners: wanted.listeners.map((listener) => ({
      name: listener.name,
      supportedKinds: listener.supportedKinds,
      attachedRoutes: listener.attachedRoutes,
      conditions: mergeConditions(
        conditionsOf(listeners.find(({ name }) => name === listener.name)),
        listener.conditions,
        generation,
        now,
      ),
    })),
  };
  return sameStatus(status, object.status) ? undefined : status;
}

export function conditionsOf(status: Status | undefined): readonly Condition[] {
  const conditions = status?.['conditions'];
  return Array.isArray(conditions) ? (conditions as Condition[]) : [];
}

/** Empty lists and absent ones say the same. */
export function sameStatus(a: Status, b: Status | undefined): boolean {
  return isDeepStrictEqual(withoutEmpty(a), withoutEmpty(b ?? {}));
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, item]) => !(Array.isArray(item) && item.length === 0));
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutEmpty(item)]));
}
