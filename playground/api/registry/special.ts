// SPDX-License-Identifier: Apache-2.0
// Requests that are no plain reads or writes of an object: scale, binding, tokens, eviction, and kinds that are only
// asked and answered.
import { decodeObject } from '../http/body.ts';
import { type JsonObject, objectAt, textAt } from '../json.ts';
import type { Catalog } from '../kinds/catalog.ts';
import { methodNotAllowed } from '../status.ts';
import type { Deleter } from './delete.ts';
import type { WriteOptions } from './options.ts';
import type { TextBody } from './request-body.ts';
import { type ReviewParts, review } from './reviews.ts';
import { bind, issueToken, type SubresourceParts, scaleOf, writeScale } from './subresources.ts';
import { subjectOf, type Target } from './target.ts';

export interface SpecialParts {
  readonly catalog: Catalog;
  readonly deleter: Deleter;
  readonly reviews: ReviewParts;
  readonly subresources: SubresourceParts;
}

export interface Reply {
  readonly status: number;
  readonly body: JsonObject;
}

const created = (body: JsonObject): Reply => ({ status: 201, body });
const SUCCESS: JsonObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** A kind that is never stored. */
export async function askVirtual(
  parts: SpecialParts,
  target: Target,
  verb: string,
  body: TextBody,
  options: WriteOptions,
): Promise<Reply> {
  if (verb !== 'create') throw methodNotAllowed(subjectOf(target), verb);
  const object = decodeObject(body.text, body.type);
  if (target.resource.kind !== 'Binding') return created(await review(parts.reviews, target, object));
  const pods = parts.catalog.find('', 'v1', 'pods')!;
  await bind(
    parts.subresources,
    { ...target, ...pods, name: textAt(object, 'metadata', 'name') ?? '' },
    object,
    options,
  );
  return created(SUCCESS);
}

/** A subresource that is not written like its object. */
export async function askSubresource(
  parts: SpecialParts,
  target: Target,
  verb: string,
  body: TextBody,
  options: WriteOptions,
): Promise<Reply> {
  const { subresources, deleter } = parts;
  if (target.subresource === 'scale')
    return { status: 200, body: await askScale(subresources, target, verb, body, options) };
  if (verb !== 'create') throw methodNotAllowed(subjectOf(target), verb);
  const object = decodeObject(body.text, body.type);
  switch (target.subresource) {
    case 'binding':
      await bind(subresources, target, object, options);
      return created(SUCCESS);
    case 'token':
      return created(await issueToken(subresources, target, object));
    case 'eviction':
      await deleter.delete({ ...target, subresource: '' }, objectAt(object, 'deleteOptions'), options);
      return created(SUCCESS);
    default:
      throw methodNotAllowed(subjectOf(target), verb);
  }
}

async function askScale(
  parts: SubresourceParts,
  target: Target,
  verb: string,
  body: TextBody,
  options: WriteOptions,
): Promise<JsonObject> {
  if (verb === 'get') return scaleOf(parts, target);
  if (verb === 'patch') return writeScale(parts, target, { patch: body.text, contentType: body.type }, options);
  if (verb === 'update') return writeScale(parts, target, { body: decodeObject(body.text, body.type) }, options);
  throw methodNotAllowed(subjectOf(target), verb);
}
