// SPDX-License-Identifier: Apache-2.0
// Create, update, patch and apply: decode, default, note the field owner, admit, validate, store. Everything that may
// wait happens before the store is touched; the store's entry is compared right before, so no write is lost.
import type { Clock } from '#lib/kit/clock.ts';
import type { Problem } from '#lib/kit/result.ts';
import type { AdmissionChain, AdmissionRequest } from '../admission/chain.ts';
import { decodeDocument, mediaType } from '../http/body.ts';
import { copy, equal, isObject, type JsonObject, type KubeObject, textAt } from '../json.ts';
import { apiVersionOf } from '../kinds/resource.ts';
import { applyConfiguration, type Writer as FieldWriter, recordUpdate } from '../patch/managed-fields.ts';
import type { Schema } from '../schema/schema.ts';
import { ApiError, alreadyExists, badRequest, conflict, forbidden, notFound, staleVersion } from '../status.ts';
import type { Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import type { WriteOptions } from './options.ts';
import { APPLY_TYPES, type Change, patchOf } from './patcher.ts';
import { checkValid, decodeInto, fillDefaults, prepareCreate, prepareUpdate, timestamp } from './prepare.ts';
import { served, stored, subjectOf, type Target } from './target.ts';

export interface Written {
  readonly entry: Entry;
  readonly created: boolean;
  readonly warnings: readonly string[];
}

/** Rules in a custom resource's schema beyond its shape (CEL). */
export type SchemaRules = (target: Target, object: KubeObject, before: KubeObject | undefined) => Problem[];

export interface WriterParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly admission: AdmissionChain;
  /** Schema of ObjectMeta. */
  readonly metadata: Schema;
  readonly rules: SchemaRules;
}

const NAME_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';
const MAX_GENERATED_BASE = 58;
/** A write without a resource version is tried again when another came between. */
const PATCH_TRIES = 8;

/** `base` with five random characters, none of which can form words. */
export function generateName(base: string): string {
  const random = crypto.getRandomValues(new Uint8Array(5));
  return (
    base.slice(0, MAX_GENERATED_BASE) +
    [...random].map((byte) => NAME_CHARACTERS[byte % NAME_CHARACTERS.length]).join('')
  );
}

export class Writer {
  readonly #parts: WriterParts;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  async create(target: Target, body: JsonObject, options: WriteOptions): Promise<Written> {
    const warnings: string[] = [];
    const object = this.#decode(target, body, options, warnings);
    const { metadata } = object;
    if (target.name !== '' && metadata.name !== undefined && metadata.name !== target.name)
      throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${target.name})`);
    if (target.name !== '') metadata.name = target.name;
    if (!metadata.name && metadata.generateName) metadata.name = generateName(metadata.generateName);
    return this.#insert(target, object, options, warnings, (made) => this.#own(target, undefined, made, options));
  }

  /** Replaces the object; without one, creates it when the body carries no resource version. */
  async update(target: Target, body: JsonObject, options: WriteOptions): Promise<Written> {
    const warnings: string[] = [];
    const object = this.#decode(target, body, options, warnings);
    if (object.metadata.name === undefined) object.metadata.name = target.name;
    if (object.metadata.name !== target.name)
      throw badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${target.name})`,
      );
    // Who names no version wants this content whatever came between.
    const tries = object.metadata.resourceVersion ? 1 : PATCH_TRIES;
    return this.#modify(target, options, warnings, () => copy(object), tries);
  }

  async patch(target: Target, contentType: string, body: string, options: WriteOptions): Promise<Written> {
    if (APPLY_TYPES.has(mediaType(contentType))) return this.#apply(target, body, options);
    const warnings: string[] = [];
    const change = patchOf(target, contentType, body);
    const make: Change = (current) => this.#decode(target, change(current) as JsonObject, options, warnings);
    return this.#modify(target, options, warnings, make, PATCH_TRIES);
  }

  /** Changes an object by a function of ours (binding, scale, deletion marks). */
  async change(target: Target, options: WriteOptions, make: Change): Promise<Written> {
    return this.#modify(target, options, [], (current) => make(copy(current)), PATCH_TRIES);
  }

  async #apply(target: Target, body: string, options: WriteOptions): Promise<Written> {
    const warnings: string[] = [];
    const config = decodeDocument(body);
    if (!isObject(config)) throw badRequest('an apply configuration is an object');
    const object = this.#decode(target, config, options, warnings);
    if (object.metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
    object.metadata.name ??= target.name;
    if (object.metadata.name !== target.name)
      throw badRequest('name in URL does not match name in apply configuration');
    if (target.resource.namespaced) object.metadata.namespace ??= target.namespace;
    const { schema, resolve } = target.version;
    const merge = (live: KubeObject | undefined): KubeObject => {
      const result = applyConfiguration(
        schema,
        live,
        object,
        this.#writer(target, 'Apply', options),
        options.force,
        resolve,
      );
      if (result.kind === 'merged') return result.object;
      const list = result.conflicts.map(({ manager, field }) => `conflict with "${manager}": ${field}`);
      throw new ApiError(
        409,
        'Conflict',
        `Apply failed with ${list.length} conflict${list.length > 1 ? 's' : ''}: ${list.join('\n')}`,
        {
          causes: result.conflicts.map(({ manager, field }) => ({
            reason: 'FieldManagerConflict',
            message: `conflict with "${manager}"`,
            field,
          })),
        },
      );
    };
    if (!this.#find(target)) {
      if (target.subresource !== '') throw notFound(subjectOf(target), target.name);
      return this.#insert(target, copy(merge(undefined)), options, warnings, () => undefined);
    }
    return this.#modify(target, options, warnings, (current) => copy(merge(current)), PATCH_TRIES, true);
  }

  async #insert(
    target: Target,
    object: KubeObject,
    options: WriteOptions,
    warnings: string[],
    own: (object: KubeObject) => void,
  ): Promise<Written> {
    const { resource, version } = target;
    const { store, clock, admission, rules } = this.#parts;
    if (object.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
    this.#place(target, object);
    prepareCreate(resource, version, object, clock.now());
    fillDefaults(resource, version, object);
    own(object);
    const named = { ...target, name: object.metadata.name ?? '' };
    const request: AdmissionRequest = {
      target: named,
      operation: 'CREATE',
      object,
      before: undefined,
      options,
      warnings,
    };
    await admission.mutate(request);
    fillDefaults(resource, version, object);
    checkValid(resource, version, object, undefined, 'main', (made, old) => rules(target, made, old));
    await admission.validate(request);
    const collection = store.collection(resource.storage);
    if (collection.get(object.metadata.namespace ?? '', named.name)) throw alreadyExists(subjectOf(target), named.name);
    const keep = stored(resource, object);
    if (options.dryRun) return { entry: dryEntry(keep), created: true, warnings };
    return { entry: collection.put(keep, undefined), created: true, warnings };
  }

  async #modify(
    target: Target,
    options: WriteOptions,
    warnings: string[],
    make: Change,
    tries: number,
    applied = false,
  ): Promise<Written> {
    for (let left = tries; ; left--) {
      const entry = this.#find(target);
      if (!entry) return this.#upsert(target, options, warnings, make, applied);
      const result = await this.#attempt(target, options, warnings, make, entry, applied);
      if (result !== 'stale') return result;
      if (left <= 1) throw staleVersion(subjectOf(target), target.name);
    }
  }

  /** An update of what does not exist: creates it only by PUT of a kind that allows that; otherwise 404. */
  async #upsert(
    target: Target,
    options: WriteOptions,
    warnings: string[],
    make: Change,
    applied: boolean,
  ): Promise<Written> {
    const missing = notFound(subjectOf(target), target.name);
    if (applied || target.subresource !== '' || !UPSERTABLE.has(target.resource.kind)) throw missing;
    let object: KubeObject;
    try {
      object = make({ apiVersion: '', kind: '', metadata: {} });
    } catch {
      throw missing;
    }
    if (object.metadata.name !== target.name || object.metadata.resourceVersion || object.metadata.uid) throw missing;
    return this.#insert(target, object, options, warnings, (made) => this.#own(target, undefined, made, options));
  }

  async #attempt(
    target: Target,
    options: WriteOptions,
    warnings: string[],
    make: Change,
    entry: Entry,
    applied: boolean,
  ): Promise<Written | 'stale'> {
    const { resource, version } = target;
    const { store, admission, rules } = this.#parts;
    const before = served(resource, version, entry.object);
    const asked = make(before);
    this.#place(target, asked);
    const wanted = asked.metadata.resourceVersion;
    if (wanted && wanted !== String(entry.rv)) {
      // A patch that merely carried the version along may be tried again; one that set it may not.
      throw staleVersion(subjectOf(target), target.name);
    }
    if (asked.metadata.uid && asked.metadata.uid !== entry.object.metadata.uid)
      throw conflict(
        subjectOf(target),
        target.name,
        `Precondition failed: UID in precondition: ${asked.metadata.uid}, UID in object meta: ${entry.object.metadata.uid}`,
      );
    const half = target.subresource === 'status' || target.subresource === 'approval' ? 'status' : 'main';
    const object = prepareUpdate(resource, version, asked, before, half);
    fillDefaults(resource, version, object);
    if (!applied) this.#own(target, before, object, options);
    const request: AdmissionRequest = { target, operation: 'UPDATE', object, before, options, warnings };
    await admission.mutate(request);
    checkValid(resource, version, object, before, half, (made, old) => rules(target, made, old));
    await admission.validate(request);
    const collection = store.collection(resource.storage);
    if (collection.get(entry.namespace, entry.name) !== entry) return 'stale';
    object.metadata.resourceVersion = String(entry.rv);
    const keep = stored(resource, object);
    if (options.dryRun) return { entry: dryEntry(keep), created: false, warnings };
    if (gone(keep)) return { entry: collection.remove({ ...entry, object: keep }), created: false, warnings };
    if (equal(keep, entry.object)) return { entry, created: false, warnings };
    return { entry: collection.put(keep, entry), created: false, warnings };
  }

  #find(target: Target): Entry | undefined {
    return this.#parts.store.collection(target.resource.storage).get(target.namespace, target.name);
  }

  #decode(target: Target, body: JsonObject, options: WriteOptions, warnings: string[]): KubeObject {
    return decodeInto(target.resource, target.version, body, this.#parts.metadata, options, warnings);
  }

  /** Namespace of URL and body agree; a cluster-wide object has none. */
  #place(target: Target, object: KubeObject): void {
    if (!target.resource.namespaced) {
      delete object.metadata.namespace;
      return;
    }
    const given = object.metadata.namespace;
    if (given !== undefined && given !== '' && given !== target.namespace)
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    object.metadata.namespace = target.namespace;
    if (target.namespace === '')
      throw forbidden(subjectOf(target), target.name, 'an empty namespace may not be set during creation');
  }

  #own(target: Target, before: KubeObject | undefined, object: KubeObject, options: WriteOptions): void {
    recordUpdate(
      target.version.schema,
      before,
      object,
      this.#writer(target, 'Update', options),
      target.version.resolve,
    );
  }

  #writer(target: Target, operation: 'Apply' | 'Update', options: WriteOptions): FieldWriter {
    return {
      manager: options.manager,
      operation,
      subresource: target.subresource,
      apiVersion: apiVersionOf(target.resource.group, target.version.name),
      time: timestamp(this.#parts.clock.now()),
    };
  }
}

/** Kinds that a PUT may create. */
const UPSERTABLE = new Set([
  'Lease',
  'Endpoints',
  'Event',
  'ResourceQuota',
  'LimitRange',
  'Role',
  'ClusterRole',
  'RoleBinding',
  'ClusterRoleBinding',
]);

/** Whether a deletion has nothing left to wait for. */
export function gone(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  if (object.kind === 'Namespace')
    return (
      !Array.isArray((object['spec'] as JsonObject | undefined)?.['finalizers']) ||
      (object['spec'] as JsonObject)['finalizers']?.toString() === ''
    );
  return deletionGracePeriodSeconds === 0 || textAt(object, 'kind') !== 'Pod';
}

const dryEntry = (object: KubeObject): Entry => ({
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name ?? '',
  rv: Number(object.metadata.resourceVersion ?? 0),
  object,
  encoded: new Map(),
});
