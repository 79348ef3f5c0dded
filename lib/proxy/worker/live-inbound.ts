// SPDX-License-Identifier: Apache-2.0
// Every inbound connection that was let in, to be judged again when policies change (facts of the protocol, section 5.8): what
// is denied now is cut now. The walk is cut into slices, so that thousands of connections do not stop the loop (trap 18).
import { type Enrolled, Roster } from '#lib/kit/roster.ts';
import type { Loop, Resumable } from '#lib/loop/loop.ts';

/** Connections judged between two looks at the sockets. */
const SLICE = 256;

/** A connection that was let in, or is being held. */
export interface Admitted extends Enrolled {
  /** Policies changed, or the workload did: judge it by those of now. */
  judgeAgain(): void;
}

export class LiveInbound implements Resumable {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #all = new Roster<Admitted>();
  /** Where the walk goes on; -1 while there is none. */
  #at = -1;

  constructor(loop: Loop) {
    this.#loop = loop;
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
    this.#at = this.#all.size - 1;
    this.#loop.again(this);
  }

  resume(): void {
    if (this.#at < 0) return;
    this.#at = this.#all.walk(this.#at, SLICE, judgeAgain);
    if (this.#at >= 0) this.#loop.again(this);
  }
}

function judgeAgain(one: Admitted): void {
  one.judgeAgain();
}
