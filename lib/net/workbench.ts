// SPDX-License-Identifier: Apache-2.0
// What all sessions of one worker share: the loop, one arena to receive into, one to stage what is sent, blocks for bytes that
// must wait. Whoever uses an arena is done with it before it returns to the loop.

import { Arena } from '#lib/linux/arena.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { BlockPool } from './block-pool.ts';

/** Plaintext decrypted at a time. Small enough to stay in the processor's cache between decryption and delivery. */
export const RECEIVE_BYTES = 256 * 1024;
/** Plaintext encrypted at a time: eight full TLS records. */
export const STAGING_BYTES = 128 * 1024;
/** Bytes that stopped readers may pin in one worker. */
export const DEFAULT_BYTE_BUDGET = 256 * 1024 * 1024;

export class Workbench {
  readonly loop: Loop;
  readonly receive: Arena;
  readonly staging: Arena;
  readonly blocks: BlockPool;

  constructor(loop: Loop, byteBudget: number = DEFAULT_BYTE_BUDGET) {
    this.loop = loop;
    this.receive = Arena.allocate(RECEIVE_BYTES);
    this.staging = Arena.allocate(STAGING_BYTES);
    this.blocks = new BlockPool(byteBudget);
  }
}
