// SPDX-License-Identifier: Apache-2.0
// Nothing is created in a namespace that does not exist or is going away.
import { textAt } from '../json.ts';
import { subjectOf } from '../registry/target.ts';
import { ApiError, notFound } from '../status.ts';
import type { Store } from '../store/store.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

export class NamespaceLifecycle implements AdmissionPlugin {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  mutate({ target, operation }: AdmissionRequest): void {
    if (operation !== 'CREATE' || !target.resource.namespaced) return;
    const namespace = this.#store.collection('namespaces').get('', target.namespace);
    if (!namespace) throw notFound({ group: '', resource: 'namespaces' }, target.namespace);
    if (textAt(namespace.object, 'status', 'phase') !== 'Terminating' && !namespace.object.metadata.deletionTimestamp)
      return;
    const { group, resource } = subjectOf(target);
    const what = group ? `${resource}.${group}` : resource;
    throw new ApiError(
      403,
      'Forbidden',
      `${what} "${target.name}" is forbidden: unable to create new content in namespace ${target.namespace} because it is being terminated`,
      {
        name: target.name,
        kind: resource,
        causes: [
          {
            reason: 'NamespaceTerminating',
            message: `namespace ${target.namespace} is being terminated`,
            field: 'metadata.namespace',
          },
        ],
      },
    );
  }
}
