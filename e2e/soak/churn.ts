// SPDX-License-Identifier: Apache-2.0
// Pods that come and go: one is taken out, and another of a new name and another service account comes into the same namespace with the
// same addresses, and must answer through the mesh.
import { setTimeout as delay } from 'node:timers/promises';
import type { TestPod } from '#lib/testkit/pod-network.ts';
import type { SoakMesh } from './mesh.ts';
import type { Enrolled, SoakNode } from './node.ts';

/** Certificates come and go with their last pod. */
const SERVICE_ACCOUNTS = 9;

export class Churn {
  /** Pods taken out and brought in so far. */
  changes = 0;
  /** New pods that answered, and why others did not. */
  answered = 0;
  readonly silent: string[] = [];
  readonly #nodes: readonly SoakNode[];
  readonly #mesh: SoakMesh;
  readonly #slots: { readonly node: SoakNode; readonly pod: TestPod; now: Enrolled }[];
  readonly #probe: (one: Enrolled) => Promise<void>;
  #made = 0;
  #stopped = false;

  constructor(
    nodes: readonly SoakNode[],
    mesh: SoakMesh,
    pods: readonly TestPod[],
    probe: (one: Enrolled) => Promise<void>,
  ) {
    this.#nodes = nodes;
    this.#mesh = mesh;
    this.#probe = probe;
    this.#slots = pods.map((pod, k) => ({ node: nodes[k % nodes.length]!, pod, now: this.#next(pod) }));
  }

  /** Those of a node at the start. */
  first(of: SoakNode): Enrolled[] {
    return this.#slots.filter(({ node }) => node === of).map(({ now }) => now);
  }

  /** A change every `everyMs`, until `stop`: out, then in. Resolves when the last probe has ended. May be called again then. */
  async run(everyMs: number): Promise<void> {
    this.#stopped = false;
    const probes = new Set<Promise<void>>();
    let due = performance.now();
    const nextTurn = async (): Promise<void> => {
      due += everyMs;
      await delay(Math.max(0, due - performance.now()));
    };
    for (let turn = 0; !this.#stopped; turn++) {
      const slot = this.#slots[turn % this.#slots.length]!;
      await slot.node.remove(slot.now);
      this.#changed();
      await nextTurn();
      slot.now = this.#next(slot.pod);
      await slot.node.add(slot.now);
      this.#changed();
      const probe = this.#ask(slot.now).finally(() => probes.delete(probe));
      probes.add(probe);
      await nextTurn();
    }
    await Promise.all(probes);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #ask(one: Enrolled): Promise<void> {
    // Known everywhere before it is asked, as a Service's endpoint would be.
    await delay(1000);
    try {
      await this.#probe(one);
      this.answered++;
    } catch (error) {
      // It may have gone while it was being asked.
      if (this.#nodes.some(({ enrolled }) => enrolled.has(one.uid))) this.silent.push(`${one.name}: ${String(error)}`);
    }
  }

  #changed(): void {
    this.changes++;
    this.#mesh.write();
  }

  #next(pod: TestPod): Enrolled {
    const number = ++this.#made;
    const name = `${pod.name}-${number}`;
    return { uid: name, name, serviceAccount: `account-${number % SERVICE_ACCOUNTS}`, pod };
  }
}
