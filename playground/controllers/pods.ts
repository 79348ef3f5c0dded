// SPDX-License-Identifier: Apache-2.0
// What controllers know about pods: readiness, availability, and how to make one from a template. Pure.
import { createHash } from 'node:crypto';
import { copy, isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../api/json.ts';
import { type AnyKind, apiVersion } from './kinds.ts';

export function condition(object: KubeObject, type: string): JsonObject | undefined {
  return listAt(object, 'status', 'conditions')
    .filter(isObject)
    .find((item) => item['type'] === type);
}

export const isReady = (pod: KubeObject): boolean => condition(pod, 'Ready')?.['status'] === 'True';
export const phaseOf = (pod: KubeObject): string => textAt(pod, 'status', 'phase') ?? 'Pending';
export const isFinished = (pod: KubeObject): boolean => phaseOf(pod) === 'Succeeded' || phaseOf(pod) === 'Failed';
/** Counts for its owner: neither finished nor on its way out. */
export const isActive = (pod: KubeObject): boolean => !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;

/** Milliseconds until the pod has been ready for long enough; undefined when it is not ready. */
export function availableInMs(pod: KubeObject, minReadySeconds: number, now: number): number | undefined {
  const ready = condition(pod, 'Ready');
  if (ready?.['status'] !== 'True') return undefined;
  const since = Date.parse(String(ready['lastTransitionTime'] ?? ''));
  return minReadySeconds === 0 || Number.isNaN(since) ? 0 : Math.max(0, since + minReadySeconds * 1000 - now);
}

/** A controlling owner reference to `owner`. */
export const ownedBy = (kind: AnyKind, owner: KubeObject): JsonObject => ({
  apiVersion: apiVersion(kind),
  kind: kind.kind,
  name: owner.metadata.name ?? '',
  uid: owner.metadata.uid ?? '',
  controller: true,
  blockOwnerDeletion: true,
});

/** A pod of `template`, owned by `owner`; named or with a generated name. */
export function podOf(
  kind: AnyKind,
  owner: KubeObject,
  template: Json | undefined,
  labels: Record<string, string>,
  name?: string,
): KubeObject {
  const meta = objectAt(template, 'metadata');
  const own = owner.metadata.name ?? '';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(name ? { name } : { generateName: `${own}-` }),
      namespace: owner.metadata.namespace ?? '',
      labels: { ...(objectAt(meta, 'labels') as Record<string, string>), ...labels },
      annotations: objectAt(meta, 'annotations') as Record<string, string>,
      finalizers: listAt(meta, 'finalizers').map(String),
      ownerReferences: [ownedBy(kind, owner)],
    },
    spec: copy(objectAt(template, 'spec')),
  };
}

const HASH_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** A short name for a template; equal templates have equal ones, in whatever order their members come. */
export function templateHash(template: Json | undefined): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(template ?? null)))
    .digest();
  return [...digest.subarray(0, 10)].map((byte) => HASH_CHARACTERS[byte % HASH_CHARACTERS.length]).join('');
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] ?? null)]),
  );
}

/** `25%` or a number, of `total`. */
export function share(value: Json | undefined, total: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(String(value ?? ''))?.[1];
  if (percent === undefined) return 0;
  const exact = (Number(percent) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

/** Which pods to let go first: unassigned, then not ready, then the youngest. */
export function byDeletionOrder(a: KubeObject, b: KubeObject): number {
  const assigned = Number(!!textAt(a, 'spec', 'nodeName')) - Number(!!textAt(b, 'spec', 'nodeName'));
  const ready = Number(isReady(a)) - Number(isReady(b));
  const age = (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
  return assigned || ready || age;
}

/** RFC 3339 in whole seconds. */
export const stamp = (now: number): string => new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');

/** The condition list with one condition set; its transition time moves only when its status does. */
export function withCondition(
  conditions: Json[],
  next: { type: string; status: string; reason: string; message: string },
  now: number,
): Json[] {
  const old = conditions.find((item) => textAt(item, 'type') === next.type);
  const same = textAt(old, 'status') === next.status;
  const unchanged = same && textAt(old, 'reason') === next.reason && textAt(old, 'message') === next.message;
  if (unchanged) return conditions;
  const since = (same ? textAt(old, 'lastTransitionTime') : undefined) ?? stamp(now);
  const made: Json = { ...next, lastUpdateTime: stamp(now), lastTransitionTime: since };
  return [...conditions.filter((item) => item !== old), made];
}
