// SPDX-License-Identifier: Apache-2.0
// Keeps the RBAC index in step with stored roles and bindings; rebuilt on the first question after a change.

import { ApiError } from '../status.ts';
import type { Store } from '../store/store.ts';
import { type Action, describeDenied, RbacIndex } from './rbac.ts';
import type { User } from './user.ts';

const GROUP = 'rbac.authorization.k8s.io';

export class Authorizer {
  readonly #store: Store;
  #index: RbacIndex | undefined;

  constructor(store: Store) {
    this.#store = store;
    for (const plural of ['roles', 'clusterroles', 'rolebindings', 'clusterrolebindings'])
      store.collection(`${plural}.${GROUP}`).listen(() => {
        this.#index = undefined;
      });
  }

  index(): RbacIndex {
    const objects = (plural: string) =>
      this.#store
        .collection(`${plural}.${GROUP}`)
        .list()
        .map((entry) => entry.object);
    this.#index ??= new RbacIndex({
      roles: objects('roles'),
      clusterRoles: objects('clusterroles'),
      roleBindings: objects('rolebindings'),
      clusterRoleBindings: objects('clusterrolebindings'),
    });
    return this.#index;
  }

  /** Throws 403 saying who may not do what. */
  check(user: User, action: Action): void {
    if (this.index().authorize(user, action).allowed) return;
    const why = describeDenied(user, action);
    if (action.kind === 'path') throw new ApiError(403, 'Forbidden', `forbidden: ${why}`, {});
    const what = action.group ? `${action.resource}.${action.group}` : action.resource;
    const named = action.name ? `${what} "${action.name}"` : what;
    throw new ApiError(403, 'Forbidden', `${named} is forbidden: ${why}`, {
      name: action.name,
      ...(action.group ? { group: action.group } : {}),
      kind: action.resource,
    });
  }
}
