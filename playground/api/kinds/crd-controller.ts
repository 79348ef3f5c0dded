// SPDX-License-Identifier: Apache-2.0
// Keeps the catalog in step with CustomResourceDefinitions: checks their names, serves them, writes their conditions
// (NamesAccepted, Established), and clears a deleted CRD's objects. It runs inside the server, as upstream's does.
import { equal, isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../json.ts';
import { timestamp } from '../registry/prepare.ts';
import type { Change, Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import type { Catalog } from './catalog.ts';
import { customResource } from './custom.ts';

export const CRDS = 'customresourcedefinitions.apiextensions.k8s.io';

export class CrdController {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #now: () => number;

  constructor(store: Store, catalog: Catalog, now: () => number) {
    this.#store = store;
    this.#catalog = catalog;
    this.#now = now;
  }

  start(): void {
    const collection = this.#store.collection(CRDS);
    collection.listen((change) => this.#onChange(change));
    for (const entry of collection.list()) this.#serve(entry);
  }

  #onChange({ type, entry, before }: Change): void {
    if (type === 'DELETED') {
      this.#drop(entry.object);
      return;
    }
    if (
      type === 'MODIFIED' &&
      before &&
      equal(before.object['spec'], entry.object['spec']) &&
      !entry.object.metadata.deletionTimestamp
    )
      return;
    this.#serve(entry);
  }

  #serve(entry: Entry): void {
    const resource = customResource(entry.object);
    const taken = resource && this.#catalog.get(resource.group, resource.plural);
    const refused = !resource
      ? 'no version is served'
      : taken && !taken.custom
        ? `${resource.plural}.${resource.group} is a built-in resource`
        : undefined;
    if (resource && !refused) this.#catalog.put(resource);
    else
      this.#catalog.drop(
        textAt(entry.object, 'spec', 'group') ?? '',
        textAt(entry.object, 'spec', 'names', 'plural') ?? '',
      );
    const status = this.#status(entry.object, refused);
    if (equal(status, entry.object['status'])) return;
    const object: KubeObject = { ...entry.object, metadata: { ...entry.object.metadata }, status };
    // Written in a turn of its own: this one is still telling listeners about the change that led here.
    queueMicrotask(() => {
      const collection = this.#store.collection(CRDS);
      if (collection.get('', entry.name) === entry) collection.put(object, entry);
    });
  }

  #drop(crd: KubeObject): void {
    const group = textAt(crd, 'spec', 'group') ?? '';
    const plural = textAt(crd, 'spec', 'names', 'plural') ?? '';
    const collection = this.#store.collection(`${plural}.${group}`);
    queueMicrotask(() => {
      for (const entry of [...collection.list()]) collection.remove(entry);
    });
    this.#catalog.drop(group, plural);
  }

  #status(crd: KubeObject, refused: string | undefined): JsonObject {
    const spec = objectAt(crd, 'spec');
    const stored = listAt(spec, 'versions').find((version) => objectAt(version)['storage'] === true);
    const name = textAt(stored, 'name') ?? '';
    const known = listAt(crd, 'status', 'storedVersions');
    const conditions = [
      this.#condition(
        crd,
        'NamesAccepted',
        refused === undefined,
        refused ? 'NamesConflict' : 'NoConflicts',
        refused ?? 'no conflicts found',
      ),
      this.#condition(
        crd,
        'Established',
        refused === undefined,
        refused ? 'NotAccepted' : 'InitialNamesAccepted',
        refused ?? 'the initial names have been accepted',
      ),
    ];
    return {
      conditions,
      acceptedNames: objectAt(spec, 'names'),
      storedVersions: known.includes(name) ? known : [...known, name],
    };
  }

  #condition(crd: KubeObject, type: string, met: boolean, reason: string, message: string): Json {
    const status = met ? 'True' : 'False';
    const old = listAt(crd, 'status', 'conditions').find((item) => textAt(item, 'type') === type);
    const since = isObject(old) && old['status'] === status ? textAt(old, 'lastTransitionTime') : undefined;
    return { type, status, reason, message, lastTransitionTime: since ?? timestamp(this.#now()) };
  }
}
