// SPDX-License-Identifier: Apache-2.0
// What all sessions of one worker share: the loop, one arena to receive into, one to stage what is sent, blocks for bytes that
// must wait. Whoever uses an arena is done with it before it returns to the loop.

import { Arena } from '#lib/linux/arena.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { BlockPool } from './block-pool.ts';

/**
 * Plaintext decrypted, and encrypted, at a time: two full TLS records. Bytes are touched several times between socket and socket, so
 * what counts is that they are still in the processor's cache, not the number of system calls: with 32 KiB a gigabyte costs
 * 1.9 s of processor time in both proxies where 128 and 256 KiB cost 2.2 (same minute, busy machine).
 */
export const RECEIVE_BYTES = 32 * 1024;
export const STAGING_BYTES = 32 * 1024;
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
