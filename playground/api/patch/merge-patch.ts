// SPDX-License-Identifier: Apache-2.0
// JSON merge patch, RFC 7396: null deletes, objects merge, everything else replaces.
import { copy, isObject, type Json, type JsonObject, setMember } from '../json.ts';

/** Applies `patch` to `target` and returns the result; neither is changed. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return copy(patch);
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const key of Object.keys(patch)) {
    const change = patch[key];
    if (change === null) delete result[key];
    else if (change !== undefined)
      setMember(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, change));
  }
  return result;
}
