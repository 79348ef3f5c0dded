// SPDX-License-Identifier: Apache-2.0
// What the server itself decides about an object that is written: identity, generation, which half (spec or status) a
// request may change, and the checks of schema and kind.
import type { Problem } from '#lib/kit/result.ts';
import { copy, equal, type Json, type JsonObject, type KubeObject } from '../json.ts';
import { apiVersionOf, type Resource, type ServedVersion } from '../kinds/resource.ts';
import { validateMetadata } from '../kinds/validation.ts';
import { applyDefaults } from '../schema/defaults.ts';
import { prune } from '../schema/prune.ts';
import type { Schema } from '../schema/schema.ts';
import { validate } from '../schema/validate.ts';
import { badRequest, invalid } from '../status.ts';
import type { WriteOptions } from './options.ts';

/** RFC 3339 in whole seconds, as metadata carries time. */
export const timestamp = (now: number): string => new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');

/** Kinds whose metadata carries no generation although they have a spec. */
const NO_GENERATION = new Set([
  'Namespace',
  'Node',
  'Service',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'Lease',
  'CertificateSigningRequest',
  'ResourceQuota',
  'LimitRange',
]);
const WEBHOOKS = /WebhookConfiguration$/;

const hasGeneration = (resource: Resource, object: KubeObject): boolean =>
  resource.custom ||
  WEBHOOKS.test(resource.kind) ||
  (object['spec'] !== undefined && !NO_GENERATION.has(resource.kind));

/** The part of an object whose change makes a new generation. */
function desired(object: KubeObject, withStatus: boolean): JsonObject {
  const { apiVersion: _version, kind: _kind, metadata: _metadata, ...rest } = object;
  if (!withStatus) delete rest['status'];
  return rest;
}

/** Type, known fields and value types; unknown fields are dropped, warned of or refused as the request asks. */
export function decodeInto(
  resource: Resource,
  version: ServedVersion,
  body: JsonObject,
  metadata: Schema,
  options: WriteOptions,
  warnings: string[],
): KubeObject {
  const expected = apiVersionOf(resource.group, version.name);
  body['apiVersion'] ??= expected;
  body['kind'] ??= resource.kind;
  // Some clients write the core group's empty name before its version.
  if (body['apiVersion'] === `/${expected}`) body['apiVersion'] = expected;
  if (body['kind'] !== resource.kind || body['apiVersion'] !== expected)
    throw badRequest(
      `the API version or kind in the data (${String(body['apiVersion'])}, Kind=${String(body['kind'])}) does not match the expected (${expected}, Kind=${resource.kind})`,
    );
  body['metadata'] ??= {};
  const report = prune(version.schema, body, { resolve: version.resolve, dropNulls: !resource.custom, metadata });
  if (report.mistyped.length > 0 && !resource.custom) {
    const { field, message } = report.mistyped[0]!;
    throw badRequest(
      `${resource.kind} in version "${version.name}" cannot be handled as a ${resource.kind}: ${field}: ${message}`,
    );
  }
  if (report.unknown.length > 0 && options.fieldValidation !== 'Ignore') {
    const texts = report.unknown.map((field) => `unknown field "${field}"`);
    if (options.fieldValidation === 'Strict') throw badRequest(`strict decoding error: ${texts.join(', ')}`);
    warnings.push(...texts);
  }
  return body as KubeObject;
}

/** Fills what a kind and its schema default. */
export function fillDefaults(resource: Resource, version: ServedVersion, object: KubeObject): void {
  if (resource.custom) applyDefaults(version.schema, object);
  resource.strategy.defaults?.(object);
}

export function prepareCreate(resource: Resource, version: ServedVersion, object: KubeObject, now: number): void {
  const { metadata } = object;
  if (version.status) delete object['status'];
  delete metadata['selfLink'];
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.resourceVersion;
  delete metadata.generation;
  metadata.uid = crypto.randomUUID();
  metadata.creationTimestamp = timestamp(now);
  if (hasGeneration(resource, object)) metadata.generation = 1;
  resource.strategy.prepareCreate?.(object);
}

/** Keeps what an update of this half may not change; bumps the generation when the desired state moved. */
export function prepareUpdate(
  resource: Resource,
  version: ServedVersion,
  object: KubeObject,
  before: KubeObject,
  half: 'main' | 'status',
): KubeObject {
  let result = object;
  if (half === 'status') {
    const metadata = resource.custom
      ? { ...before.metadata, managedFields: object.metadata['managedFields'] ?? null }
      : object.metadata;
    result = { ...copy(before), metadata: copy(metadata) } as KubeObject;
    if (result.metadata['managedFields'] === null) delete result.metadata['managedFields'];
    if (object['status'] === undefined) delete result['status'];
    else result['status'] = object['status'];
  } else if (version.status) {
    if (before['status'] === undefined) delete result['status'];
    else result['status'] = copy(before['status'] as Json);
  }
  const old = before.metadata;
  for (const name of [
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'namespace',
    'name',
    'selfLink',
  ]) {
    const value = old[name];
    if (value === undefined) delete result.metadata[name];
    else result.metadata[name] = value;
  }
  if (half === 'main') resource.strategy.prepareUpdate?.(result, before);
  if (
    old.generation !== undefined &&
    half === 'main' &&
    !equal(desired(result, !version.status), desired(before, !version.status))
  )
    result.metadata.generation = old.generation + 1;
  return result;
}

/** Throws 422 with every problem of metadata, schema and kind. */
export function checkValid(
  resource: Resource,
  version: ServedVersion,
  object: KubeObject,
  before: KubeObject | undefined,
  half: 'main' | 'status',
  rules: (object: KubeObject, before: KubeObject | undefined) => Problem[],
): void {
  const problems: Problem[] = before ? [] : validateMetadata(object);
  if (resource.custom) {
    const { metadata: _metadata, ...rest } = object;
    problems.push(...validate(version.schema, rest, '', { resolve: version.resolve }));
    if (problems.length === 0) problems.push(...rules(object, before));
  } else if (half === 'main') {
    const { metadata: _metadata, status: _status, ...rest } = object;
    problems.push(
      ...validate(withoutMetadata(version.schema), rest, '', { resolve: version.resolve, requiredOnly: true }),
    );
    problems.push(...(resource.strategy.validate?.(object, before) ?? []));
  }
  if (problems.length > 0) throw invalid(resource.group, resource.kind, object.metadata.name ?? '', problems);
}

const bare = new WeakMap<Schema, Schema>();
/** The schema without `metadata` among the required members: the server always has it. */
function withoutMetadata(schema: Schema): Schema {
  let made = bare.get(schema);
  if (!made) {
    made = { ...schema, required: (schema.required ?? []).filter((name) => name !== 'metadata') };
    bare.set(schema, made);
  }
  return made;
}
