// SPDX-License-Identifier: Apache-2.0
// Pods by what the certificate authority asks: is this pod the one the token is bound to, and does any pod of that
// account run on this node.

import type { Change } from '#lib/kube/informer.ts';
import type { Pod } from '#lib/kube/object.ts';

export class PodIndex {
  readonly #pods = new Map<string, Pod>();
  /** How many pods that have not failed there are, by node, namespace and account. */
  readonly #accounts = new Map<string, number>();

  apply(changes: readonly Change<Pod>[]): void {
    for (const change of changes) {
      const known = this.#pods.get(change.key);
      if (known !== undefined) this.#count(known, -1);
      if (change.op === 'delete') {
        this.#pods.delete(change.key);
        continue;
      }
      this.#pods.set(change.key, change.object);
      this.#count(change.object, 1);
    }
  }

  get(namespace: string, name: string): Pod | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  /** Whether some pod of the account is scheduled on the node; one that has failed does not count. */
  runsOnNode(namespace: string, serviceAccount: string, node: string): boolean {
    return (this.#accounts.get(accountKey(namespace, serviceAccount, node)) ?? 0) > 0;
  }

  #count(pod: Pod, by: 1 | -1): void {
    const node = pod.spec?.nodeName;
    if (node === undefined || node === '' || pod.status?.phase === 'Failed') return;
    const key = accountKey(pod.metadata.namespace ?? '', serviceAccountOf(pod), node);
    const count = (this.#accounts.get(key) ?? 0) + by;
    if (count === 0) this.#accounts.delete(key);
    else this.#accounts.set(key, count);
  }
}

/** The account a pod runs as. */
export function serviceAccountOf(pod: Pod): string {
  const name = pod.spec?.serviceAccountName;
  return name === undefined || name === '' ? 'default' : name;
}

function accountKey(namespace: string, serviceAccount: string, node: string): string {
  return `${node}/${namespace}/${serviceAccount}`;
}
