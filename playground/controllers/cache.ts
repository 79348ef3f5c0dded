// SPDX-License-Identifier: Apache-2.0
// One kind as controllers see it: the informer's copy, plus what this process wrote and the watch has not shown yet.
// Without that, a controller that is called again at once would make the same pod twice.
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import type { JsonObject, KubeObject } from '../api/json.ts';
import { listAt, textAt } from '../api/json.ts';
import type { AnyKind } from './kinds.ts';

export type Listener = (object: KubeObject, old: KubeObject | undefined, gone: boolean) => void;

const ENDED_KEPT = 1000;

export const keyOf = ({ metadata }: KubeObject): string =>
  metadata.namespace ? `${metadata.namespace}/${metadata.name}` : (metadata.name ?? '');

export class ObjectCache {
  readonly kind: AnyKind;
  readonly #client: KubeClient;
  readonly #informer: Informer<GenericObject>;
  /** Objects as written by us, until the watch has caught up. */
  readonly #ahead = new Map<string, KubeObject>();
  /** Uids we have deleted. */
  readonly #deleted = new Set<string>();
  /** Uids the watch has shown to be gone; a late answer to a write must not bring them back. Bounded. */
  readonly #ended = new Set<string>();
  readonly #byOwner = new Map<string, Set<string>>();

  constructor(kind: AnyKind, client: KubeClient, informer: Informer<GenericObject>) {
    this.kind = kind;
    this.#client = client;
    this.#informer = informer;
    informer.subscribe((changes) => {
      for (const change of changes) {
        const gone = change.op === 'delete';
        const object = plain(gone ? change.old : change.object);
        this.#caughtUp(change.key, object, gone);
      }
    });
  }

  start(): void {
    this.#informer.start();
  }

  stop(): void {
    this.#informer.stop();
  }

  whenSynced(): Promise<void> {
    return this.#informer.whenSynced();
  }

  get(key: string): KubeObject | undefined {
    const ahead = this.#ahead.get(key);
    if (ahead) return ahead;
    const found = this.#informer.get(key);
    return found && this.#seen(plain(found));
  }

  values(): KubeObject[] {
    const result: KubeObject[] = [];
    for (const object of this.#informer.values()) {
      const known = plain(object);
      if (!this.#ahead.has(keyOf(known))) result.push(this.#seen(known));
    }
    return [...result, ...this.#ahead.values()];
  }

  /** Objects whose controller has this uid. */
  ownedBy(uid: string | undefined): KubeObject[] {
    return [...(this.#byOwner.get(uid ?? '') ?? [])].flatMap((key) => this.get(key) ?? []);
  }

  /** Calls the listener for every object now and every change later. */
  listen(listener: Listener): void {
    this.#informer.subscribe((changes) => {
      for (const change of changes) {
        const gone = change.op === 'delete';
        listener(plain(gone ? change.old : change.object), change.old && plain(change.old), gone);
      }
    });
  }

  async create(object: KubeObject): Promise<KubeObject> {
    return this.#wrote(plain(await this.#client.create(this.kind, object as unknown as GenericObject)));
  }

  /** Replaces the object, or its status. */
  async update(object: KubeObject, subresource?: 'status'): Promise<KubeObject> {
    return this.#wrote(plain(await this.#client.update(this.kind, object as unknown as GenericObject, subresource)));
  }

  async patch(object: KubeObject, patch: JsonObject, subresource?: string): Promise<KubeObject> {
    const { name, namespace } = object.metadata;
    const address = { name: name!, namespace, subresource };
    return this.#wrote(plain(await this.#client.mergePatch<GenericObject>(this.kind, address, patch)));
  }

  async delete(object: KubeObject, options: { readonly gracePeriodSeconds?: number } = {}): Promise<void> {
    const { name, namespace, uid } = object.metadata;
    this.#deleted.add(uid ?? '');
    try {
      await this.#client.delete(this.kind, { name: name!, namespace }, { ...options, ...(uid ? { uid } : {}) });
    } catch (error) {
      this.#deleted.delete(uid ?? '');
      // Somebody replaced it: the one we meant is gone.
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
    }
  }

  /** Notes a change that a subresource made, until the watch shows it. */
  assume(object: KubeObject): void {
    this.#wrote(object);
  }

  #wrote(object: KubeObject): KubeObject {
    if (this.#ended.has(object.metadata.uid ?? '')) return object;
    const key = keyOf(object);
    const known = this.#informer.get(key);
    if (known && known.metadata.uid === object.metadata.uid && version(plain(known)) >= version(object)) return object;
    this.#ahead.set(key, object);
    this.#index(key, object);
    return object;
  }

  #caughtUp(key: string, object: KubeObject, gone: boolean): void {
    const ahead = this.#ahead.get(key);
    if (ahead && (gone || ahead.metadata.uid !== object.metadata.uid || version(object) >= version(ahead)))
      this.#ahead.delete(key);
    if (gone || object.metadata.deletionTimestamp) this.#deleted.delete(object.metadata.uid ?? '');
    if (gone) this.#end(object.metadata.uid ?? '');
    if (gone) this.#byOwner.get(controllerUid(object) ?? '')?.delete(key);
    else this.#index(key, object);
  }

  #end(uid: string): void {
    this.#ended.add(uid);
    if (this.#ended.size > ENDED_KEPT) this.#ended.delete(this.#ended.values().next().value!);
  }

  #index(key: string, object: KubeObject): void {
    const owner = controllerUid(object);
    if (owner === undefined) return;
    const keys = this.#byOwner.get(owner) ?? new Set();
    keys.add(key);
    this.#byOwner.set(owner, keys);
  }

  /** An object we deleted looks deleted, also before the watch says so. */
  #seen(object: KubeObject): KubeObject {
    if (object.metadata.deletionTimestamp || !this.#deleted.has(object.metadata.uid ?? '')) return object;
    return { ...object, metadata: { ...object.metadata, deletionTimestamp: '1970-01-01T00:00:00Z' } };
  }
}

/** The one cast between the client's light shapes and JSON. */
const plain = (object: GenericObject): KubeObject => object as unknown as KubeObject;
const version = (object: KubeObject): number => Number(object.metadata.resourceVersion ?? 0);

export function controllerUid(object: KubeObject): string | undefined {
  const reference = listAt(object, 'metadata', 'ownerReferences').find(
    (owner) => (owner as JsonObject)['controller'] === true,
  );
  return textAt(reference, 'uid');
}
