// SPDX-License-Identifier: Apache-2.0
// Tunnels that come to a proxy, evenly among its data-plane processes. The kernel gives a connection to one of those who listen by a
// hash of its ends, so of two tunnels both fall to one process every second time, for as long as they live, while the other process
// has nothing to do: eight bulk connections then had three quarters of the rate. So a process that carries more than another gives a
// tunnel that begins to that one, by way of the main process, before TLS: all that has to move is the descriptor.
import { close as closeFd } from '#lib/linux/calls.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { RateLimit } from '#lib/loop/rate-limit.ts';
import { LoadShare } from '#lib/loop/shared/load-share.ts';
import type { WorkerContext } from '#lib/loop/worker.ts';
import { type CommonToMain, SHARE_MEMORY } from '../control.ts';

/** Tunnels given away a second at most: a flood of handshakes is no concern of the main process. */
const GIVEN_PER_SECOND = 32;

export class TunnelShare {
  readonly #index: number;
  readonly #loop: Loop;
  readonly #share: LoadShare | null;
  readonly #send: (message: CommonToMain, fds: readonly number[]) => boolean;
  readonly #limit: RateLimit;

  /** Without the region of counts nothing is ever given away. */
  constructor({ channel, index, loop, memory }: WorkerContext) {
    const fd = memory[SHARE_MEMORY];
    this.#loop = loop;
    this.#index = index;
    this.#share = fd === undefined ? null : LoadShare.open(fd);
    this.#send = (message, fds) => channel.sendJson(message, fds);
    this.#limit = new RateLimit(GIVEN_PER_SECOND, loop.now);
    this.#share?.ready(index);
  }

  /** Gives a connection that came to `door`, with nothing read from it, to whom carries less; false: it stays the caller's. */
  give(door: string, fd: number): boolean {
    const share = this.#share;
    if (share === null) return false;
    const to = share.placeFor(this.#index);
    if (to === this.#index || !this.#limit.take(this.#loop.now)) return false;
    // At once, so that the next one does not go there for the same reason.
    share.add(to, 1);
    if (!this.#send({ kind: 'tunnel-given', door, to }, [fd])) {
      share.add(to, -1);
      return false;
    }
    closeFd(fd);
    return true;
  }

  /** One begins here that nobody gave us. */
  begun(): void {
    this.#share?.add(this.#index, 1);
  }

  /** One is over, whoever it came from. */
  ended(): void {
    this.#share?.add(this.#index, -1);
  }
}
