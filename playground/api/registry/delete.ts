// SPDX-License-Identifier: Apache-2.0
// Deletion: at once, or by a mark when finalizers, a grace period or dependants are in the way.
// Source: Kubernetes documentation, "Finalizers", "Garbage Collection", meta/v1 DeleteOptions.
import type { Clock } from '#lib/kit/clock.ts';
import type { AdmissionChain } from '../admission/chain.ts';
import { type JsonObject, type KubeObject, numberAt, objectAt, textAt } from '../json.ts';
import { conflict, forbidden } from '../status.ts';
import type { Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import type { WriteOptions } from './options.ts';
import { timestamp } from './prepare.ts';
import type { Reader } from './read.ts';
import { served, subjectOf, type Target } from './target.ts';
import { gone } from './write.ts';

export interface Deleted {
  readonly entry: Entry;
  /** False when the object still exists, marked. */
  readonly done: boolean;
}

const SYSTEM_NAMESPACES = new Set(['default', 'kube-system', 'kube-public']);

export interface DeleterParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly reader: Reader;
  readonly admission: AdmissionChain;
}

export class Deleter {
  readonly #parts: DeleterParts;

  constructor(parts: DeleterParts) {
    this.#parts = parts;
  }

  /** Deletes by DeleteOptions (body and query merged). */
  async delete(target: Target, options: JsonObject, write: WriteOptions): Promise<Deleted> {
    const { reader, admission, store } = this.#parts;
    const entry = reader.get(target);
    if (target.resource.kind === 'Namespace' && SYSTEM_NAMESPACES.has(target.name))
      throw forbidden(subjectOf(target), target.name, 'this namespace may not be deleted');
    checkPreconditions(target, entry, options);
    const before = served(target.resource, target.version, entry.object);
    const request = {
      target,
      operation: 'DELETE' as const,
      object: undefined,
      before,
      options: write,
      requestOptions: options,
      warnings: [],
    };
    await admission.mutate(request);
    await admission.validate(request);
    const grace = graceSeconds(entry.object, options);
    const finalizer = dependantsFinalizer(options);
    const waits =
      (entry.object.metadata.finalizers ?? []).length > 0 ||
      grace > 0 ||
      finalizer !== undefined ||
      target.resource.kind === 'Namespace';
    if (write.dryRun) return { entry, done: true };
    if (!waits) {
      const current = reader.get(target);
      return { entry: store.collection(target.resource.storage).remove(current), done: true };
    }
    return this.#mark(target, grace, finalizer);
  }

  #mark(target: Target, grace: number, finalizer: string | undefined): Deleted {
    const current = this.#parts.reader.get(target);
    const collection = this.#parts.store.collection(target.resource.storage);
    const now = this.#parts.clock.now();
    const metadata = { ...current.object.metadata };
    const earlier = metadata.deletionGracePeriodSeconds ?? Number.POSITIVE_INFINITY;
    if (metadata.deletionTimestamp === undefined || grace < earlier) {
      metadata.deletionTimestamp = timestamp(now + grace * 1000);
      metadata.deletionGracePeriodSeconds = grace;
      if (metadata.generation !== undefined) metadata.generation += 1;
    }
    if (finalizer && !(metadata.finalizers ?? []).includes(finalizer))
      metadata.finalizers = [...(metadata.finalizers ?? []), finalizer];
    const object: KubeObject = { ...current.object, metadata };
    if (target.resource.kind === 'Namespace')
      object['status'] = { ...objectAt(object, 'status'), phase: 'Terminating' };
    if (gone(object)) return { entry: collection.remove({ ...current, object }), done: true };
    return { entry: collection.put(object, current), done: false };
  }
}

function checkPreconditions(target: Target, entry: Entry, options: JsonObject): void {
  const uid = textAt(options, 'preconditions', 'uid');
  const rv = textAt(options, 'preconditions', 'resourceVersion');
  const { metadata } = entry.object;
  if (uid && uid !== metadata.uid)
    throw conflict(
      subjectOf(target),
      target.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
    );
  if (rv && rv !== metadata.resourceVersion)
    throw conflict(
      subjectOf(target),
      target.name,
      `Precondition failed: ResourceVersion in precondition: ${rv}, ResourceVersion in object meta: ${metadata.resourceVersion}`,
    );
}

/** Only a pod that runs on a node is given time; its kubelet ends the deletion with grace 0. */
function graceSeconds(object: KubeObject, options: JsonObject): number {
  if (object.kind !== 'Pod') return 0;
  const phase = textAt(object, 'status', 'phase');
  if (!textAt(object, 'spec', 'nodeName') || phase === 'Succeeded' || phase === 'Failed') return 0;
  return Math.max(
    0,
    numberAt(options, 'gracePeriodSeconds') ?? numberAt(object, 'spec', 'terminationGracePeriodSeconds') ?? 30,
  );
}

function dependantsFinalizer(options: JsonObject): string | undefined {
  if (options['propagationPolicy'] === 'Foreground') return 'foregroundDeletion';
  if (options['propagationPolicy'] === 'Orphan' || options['orphanDependents'] === true) return 'orphan';
  return undefined;
}
