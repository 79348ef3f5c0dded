// SPDX-License-Identifier: Apache-2.0
// How much a peer may send that carries no data (trap 8). Key updates cost a reply and new keys each, and any certificate of the
// mesh suffices to send them without end; data excuses a few.
import { RECORD_BYTES, RECORD_OVERHEAD } from './ring.ts';

// One unfinished record, which yields its plaintext later, and about 150 key updates.
const BUDGET_BYTES = RECORD_BYTES + 4096;
/** Each 64 bytes of plaintext excuse one byte more. */
const EXCUSE_SHIFT = 6;

export class SilenceBudget {
  #silent = 0;

  /** Accounts for one SSL_read: ciphertext it consumed and plaintext it gave. True when the peer has used up its budget. */
  exceeded(consumed: number, plaintext: number): boolean {
    const excused = plaintext === 0 ? 0 : plaintext + RECORD_OVERHEAD + (plaintext >> EXCUSE_SHIFT);
    const silent = this.#silent + consumed - excused;
    this.#silent = silent > 0 ? silent : 0;
    return silent > BUDGET_BYTES;
  }
}
