// SPDX-License-Identifier: Apache-2.0
//
// Strategic merge of what a user adds into a generated object (Kubernetes API conventions, "Strategic Merge Patch"):
// maps merge, lists of named things merge by name, other lists are replaced, null removes, `$patch` says otherwise.

import { table } from '#lib/kit/table.ts';

type Json = unknown;
type JsonMap = Readonly<Record<string, Json>>;

/** The member that tells elements of a list apart, by the list's field; lists not named here are replaced. */
const MERGE_KEYS = table<readonly string[]>({
  containers: ['name'],
  initContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  imagePullSecrets: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  ports: ['containerPort', 'port'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey'],
});

export function strategicMerge(base: Json, patch: Json, field = ''): Json {
  if (patch === null) return undefined;
  if (Array.isArray(patch)) return Array.isArray(base) ? mergeLists(base, patch, field) : withoutDirectives(patch);
  if (!isMap(patch)) return patch;
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  const merged = new Map(isMap(base) ? Object.entries(base) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    const out = strategicMerge(merged.get(key), value, key);
    if (out === undefined) merged.delete(key);
    else merged.set(key, out);
  }
  return Object.fromEntries(merged);
}

function mergeLists(base: readonly Json[], patch: readonly Json[], field: string): Json[] {
  const key = (MERGE_KEYS[field] ?? []).find((name) => patch.some((item) => isMap(item) && Object.hasOwn(item, name)));
  const replaced = patch.some((item) => isMap(item) && item['$patch'] === 'replace');
  if (key === undefined || replaced) return withoutDirectives(patch) as Json[];
  const result = [...base];
  for (const item of patch) {
    const name = isMap(item) ? item[key] : undefined;
    const at = result.findIndex((known) => isMap(known) && name !== undefined && known[key] === name);
    if (isMap(item) && item['$patch'] === 'delete') {
      if (at !== -1) result.splice(at, 1);
    } else if (at === -1) {
      result.push(withoutDirectives(item));
    } else {
      result[at] = strategicMerge(result[at], item);
    }
  }
  return result;
}

function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !(isMap(item) && item['$patch'] === 'replace' && Object.keys(item).length === 1))
      .map(withoutDirectives);
  }
  if (!isMap(value)) return value;
  const kept = Object.entries(value).filter(([key, item]) => !key.startsWith('$') && item !== null);
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutDirectives(item)]));
}

function isMap(value: Json): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
