// SPDX-License-Identifier: Apache-2.0
// Turns the body of a PATCH into the object it makes of the current one, by its media type.
import { decodeDocument, mediaType } from '../http/body.ts';
import { copy, isObject, type JsonObject, type KubeObject } from '../json.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge-patch.ts';
import { strategicMerge } from '../patch/strategic.ts';
import { ApiError, badRequest, unsupportedMedia } from '../status.ts';
import type { Target } from './target.ts';

export const APPLY_TYPES = new Set([
  'application/apply-patch+yaml',
  'application/apply-patch+json',
  'application/apply-patch+cbor',
]);
const KNOWN =
  'application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml';

/** A function from the current object to the patched one. */
export type Change = (current: KubeObject) => KubeObject;

export function patchOf(target: Target, contentType: string, body: string): Change {
  const type = mediaType(contentType);
  const patch = decodeDocument(body);
  if (type === 'application/json-patch+json')
    return (current) => {
      const result = jsonPatch(current, patch);
      if (!result.ok)
        throw new ApiError(
          422,
          'Invalid',
          `the server rejected our request due to an error in our request: ${result.problems[0]!.field} ${result.problems[0]!.message}`,
        );
      return asObject(result.value as JsonObject);
    };
  if (!isObject(patch)) throw badRequest('a patch is an object');
  if (type === 'application/merge-patch+json')
    return (current) => asObject(copy(mergePatch(current, patch)) as JsonObject);
  if (type === 'application/strategic-merge-patch+json') {
    if (target.resource.custom)
      throw unsupportedMedia(
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml`,
      );
    const { schema, resolve } = target.version;
    return (current) => asObject(copy(strategicMerge(schema, current, patch, resolve)));
  }
  throw unsupportedMedia(`the body of the request was in an unknown format - accepted media types include: ${KNOWN}`);
}

function asObject(value: JsonObject): KubeObject {
  if (!isObject(value) || !isObject(value['metadata'])) throw badRequest('the patch leaves no object');
  return value as KubeObject;
}
