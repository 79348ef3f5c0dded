// SPDX-License-Identifier: Apache-2.0
// How many connections a worker serves, kept under its descriptor limit so that tunnels and dials always find a
// descriptor, and one descriptor in reserve for the day they do not (trap 19).

import { close } from '#lib/linux/calls.ts';
import { createEventFd } from '#lib/linux/process.ts';

export class Admission {
  readonly limit: number;
  /** Connections served now. */
  active = 0;
  /** Connections reset at the door, ever. */
  refused = 0;
  #reserve: number;

  /** `limit`: connections; a connection of a node proxy takes two descriptors. */
  constructor(limit: number) {
    this.limit = limit;
    this.#reserve = reserveDescriptor();
  }

  /** Whether one more may be served; counts the refusal if not. The server of it adds to `active`. */
  admits(): boolean {
    if (this.active < this.limit) return true;
    this.refused++;
    return false;
  }

  /** Runs `refuseOne` with one more descriptor free; false when even that found nothing to refuse. */
  spendReserve(refuseOne: () => boolean): boolean {
    if (this.#reserve >= 0) close(this.#reserve);
    const refused = refuseOne();
    if (refused) this.refused++;
    this.#reserve = reserveDescriptor();
    return refused;
  }

  dispose(): void {
    if (this.#reserve >= 0) close(this.#reserve);
    this.#reserve = -1;
  }
}

/** A descriptor that is good for nothing but to be closed; -1 when there is none to be had. */
function reserveDescriptor(): number {
  try {
    return createEventFd();
  } catch {
    return -1;
  }
}
