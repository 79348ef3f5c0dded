// SPDX-License-Identifier: Apache-2.0
// The mesh of a soak as a file that both node proxies read again whenever it changes: pods as they are, and policies, one of which
// changes all the time. What the load is denied it is denied throughout.
import { renameSync, writeFileSync } from 'node:fs';
import { type Enrolled, NAMESPACE, type SoakNode } from './node.ts';

export const DENIED_PORT = 9090;

export class SoakMesh {
  readonly #path: string;
  readonly #nodes: () => readonly SoakNode[];
  #policy = 0;

  constructor(path: string, nodes: () => readonly SoakNode[]) {
    this.#path = path;
    this.#nodes = nodes;
  }

  /** Another policy than before, which denies nobody who asks. */
  changePolicy(): void {
    this.#policy++;
    this.write();
  }

  /** Writes the whole file, at once for whoever reads it. */
  write(): void {
    const workloads = this.#nodes().flatMap(({ enrolled, name: node }) =>
      [...enrolled.values()].map((one) => record(one, node)),
    );
    const n = this.#policy;
    const policies = [
      deny('no-load', {
        serviceAccounts: [{ namespace: NAMESPACE, serviceAccount: 'load' }],
        destinationPorts: [DENIED_PORT],
      }),
      deny(`passing-${n % 7}`, { sourceIps: [`192.0.2.${n % 250}/32`], destinationPorts: [1 + (n % 60_000)] }),
    ];
    writeFileSync(`${this.#path}.new`, JSON.stringify({ workloads, policies, services: [] }));
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function record({ name, pod, serviceAccount, uid }: Enrolled, node: string): unknown {
  return {
    uid: `Kubernetes//Pod/${NAMESPACE}/${uid}`,
    ...{ name, namespace: NAMESPACE, serviceAccount, node, network: '', protocol: 'HBONE', services: {} },
    workloadIps: [pod.ip, pod.ip6],
  };
}

function deny(name: string, match: Record<string, unknown>): unknown {
  return { name, namespace: NAMESPACE, scope: 'Namespace', action: 'Deny', rules: [[[match]]] };
}
