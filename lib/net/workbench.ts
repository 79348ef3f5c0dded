// SPDX-License-Identifier: Apache-2.0
// What all sessions of one worker share: the loop, one arena to receive into, one to stage what is sent, blocks for bytes that
// must wait. Whoever uses an arena is done with it before it returns to the loop.

import { Arena } from '#lib/linux/arena.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { BlockPool } from './block-pool.ts';
import { DialTurns } from './dial-turns.ts';
import { InputTurns } from './input-turns.ts';
import { Offenders } from './offenders.ts';

/**
 * Plaintext decrypted, and encrypted, at a time: eight full TLS records. Larger batches wake the next process less often, smaller ones
 * stay in the processor's cache: 32 KiB cost 1.05 s of processor time per GB, 64 KiB 0.93, 128 KiB 0.77, 256 KiB 0.85. (Where
 * TCP paces by timers, as BBR does, 32 KiB were ahead by a tenth.)
 */
export const RECEIVE_BYTES = 128 * 1024;
export const STAGING_BYTES = 128 * 1024;
/** Bytes that stopped readers may pin in one worker. */
export const DEFAULT_BYTE_BUDGET = 256 * 1024 * 1024;

export class Workbench {
  readonly loop: Loop;
  readonly receive: Arena;
  readonly staging: Arena;
  readonly blocks: BlockPool;
  readonly inputs: InputTurns;
  readonly dials: DialTurns;
  readonly offenders: Offenders;

  constructor(loop: Loop, byteBudget: number = DEFAULT_BYTE_BUDGET) {
    this.loop = loop;
    this.receive = Arena.allocate(RECEIVE_BYTES);
    this.staging = Arena.allocate(STAGING_BYTES);
    this.blocks = new BlockPool(byteBudget);
    this.inputs = new InputTurns(loop);
    this.dials = new DialTurns(loop);
    this.offenders = new Offenders(loop);
  }
}
