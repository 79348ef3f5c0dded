// SPDX-License-Identifier: Apache-2.0
// Every inbound connection that was let in, to be judged again when policies change (facts of the protocol, section 5.8): what
// is denied now is cut now. The walk is cut into slices, so that thousands of connections do not stop the loop (trap 18).
import type { Loop, Resumable } from '#lib/loop/loop.ts';
import { authorize } from '#lib/mesh/authorize.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import type { Workload } from '#lib/mesh/workload.ts';

/** Connections judged between two looks at the sockets. */
const SLICE = 256;

/** A connection that was let in. */
export interface Admitted {
  /** The destination as the mesh knows it now; undefined when it is gone (then the last known one counts). */
  localWorkload(): Workload;
  readonly flow: InboundFlow;
  /** Denied by policies as they are now. */
  onDenied(verdict: AccessVerdict): void;
}

export class LiveInbound implements Resumable {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #mesh: MeshView;
  readonly #all = new Set<Admitted>();
  #walk: Iterator<Admitted> | null = null;

  constructor(loop: Loop, mesh: MeshView) {
    this.#loop = loop;
    this.#mesh = mesh;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Registers before the first judgement, so that no change falls between the two. */
  add(admitted: Admitted): void {
    this.#all.add(admitted);
  }

  delete(admitted: Admitted): void {
    this.#all.delete(admitted);
  }

  /** Policies changed: judge everything again, from the beginning. */
  judgeAgain(): void {
    if (this.#all.size === 0) return;
    this.#walk = this.#all.values();
    this.#loop.again(this);
  }

  resume(): void {
    const walk = this.#walk;
    if (walk === null) return;
    for (let k = 0; k < SLICE; k++) {
      const next = walk.next();
      if (next.done) {
        this.#walk = null;
        return;
      }
      const verdict = authorize(this.#mesh, next.value.localWorkload(), next.value.flow, NO_PROOF);
      // A policy that is named and missing holds new connections; it does not cut those that were let in.
      if (!verdict.allow && verdict.reason !== 'unknown-policy') next.value.onDenied(verdict);
    }
    this.#loop.again(this);
  }
}
