// SPDX-License-Identifier: Apache-2.0
// What all HTTP connections of one worker share, beside what all its sessions do.

import { Arena } from '#lib/linux/arena.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { FieldCache } from '#lib/wire/http/field-cache.ts';
import { Framing, type WriteOptions } from '#lib/wire/http/to-http1.ts';
import { HeadPool } from '#lib/wire/http1/head-pool.ts';
import { RECEIVE_BYTES, Workbench } from '../workbench.ts';
import { Cork } from './cork.ts';

export class HttpBench extends Workbench {
  readonly cork: Cork;
  /** For the first bytes of a connection, put together from several reads. */
  readonly first: Arena = Arena.allocate(RECEIVE_BYTES + 4096);
  /** For the heads of requests that are under way. */
  readonly heads = new HeadPool(2048);
  /** Fields on their way from HTTP/1 to HTTP/2. */
  readonly fields = new FieldCache();
  /** Filled in for each head that is written. */
  readonly writeOptions: WriteOptions = {
    framing: Framing.none,
    length: -1,
    upgrade: false,
    close: false,
    keepAlive: false,
  };

  constructor(loop: Loop, byteBudget?: number) {
    super(loop, byteBudget);
    this.cork = new Cork(loop);
  }
}
