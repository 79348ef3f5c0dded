// SPDX-License-Identifier: Apache-2.0
// What a request to a Kubernetes API is about, for the fake one of tests: a place among the collections, selectors, a merge patch.
import type { KubeObject } from '#lib/kube/object.ts';

export type Stored = KubeObject & Record<string, unknown>;

export interface Place {
  /** `/api/v1/pods`, the collection without its namespace. */
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

export function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

/** undefined for a path of no resource. */
export function placeOf(path: string): Place | undefined {
  const match =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/(.+))?$/.exec(path);
  if (match === null) return undefined;
  const [, root, namespace, plural, name, subresource] = match;
  return { collection: `${root}/${plural}`, namespace, name, subresource };
}

/** Whether an object is in the place and has what the selectors ask for. */
export function filterOf(place: Place, query: URLSearchParams): (object: Stored) => boolean {
  const labels = pairs(query.get('labelSelector'));
  const fields = pairs(query.get('fieldSelector'));
  return (object) =>
    (place.namespace === undefined || object.metadata.namespace === place.namespace) &&
    // A selector without a value asks whether the label is there.
    labels.every(([key, value]) =>
      value === undefined ? key in (object.metadata.labels ?? {}) : object.metadata.labels?.[key] === value,
    ) &&
    fields.every(([path, value]) => fieldAt(object, path) === value);
}

function pairs(selector: string | null): [string, string | undefined][] {
  return (selector ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('=') as [string, string?])
    .map(([key, value]) => [key, value]);
}

function fieldAt(object: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}

/** JSON merge patch: null removes, objects merge, all else replaces. */
export function merge(base: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof base === 'object' && base !== null && !Array.isArray(base) ? { ...base } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}
