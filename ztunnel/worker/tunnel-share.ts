// SPDX-License-Identifier: Apache-2.0
// Tunnels that come to this node, evenly among its data-plane processes. The kernel gives a connection to one of those who listen by a
// hash of its ends, so of two tunnels both fall to one process every second time, for as long as they live, while the other process
// has nothing to do: eight bulk connections then had three quarters of the rate. So a process that carries more than another gives a
// tunnel that begins to that one, by way of the main process, before TLS: all that has to move is the descriptor.
import { close as closeFd } from '#lib/linux/calls.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { RateLimit } from '#lib/loop/rate-limit.ts';
import type { LoadShare } from '#lib/loop/shared/load-share.ts';
import type { ToMain } from '../control.ts';

/** Name under which main passes the region of counts. */
export const SHARE_MEMORY = 'tunnels';
/** Tunnels given away a second at most: a flood of handshakes is no concern of the main process. */
const GIVEN_PER_SECOND = 32;

export class TunnelShare {
  readonly #index: number;
  readonly #loop: Loop;
  readonly #share: LoadShare | null;
  readonly #send: (message: ToMain, fds: readonly number[]) => boolean;
  readonly #limit: RateLimit;

  /** `share` null: nothing is ever given away. */
  constructor(
    loop: Loop,
    index: number,
    share: LoadShare | null,
    send: (message: ToMain, fds: readonly number[]) => boolean,
  ) {
    this.#loop = loop;
    this.#index = index;
    this.#share = share;
    this.#send = send;
    this.#limit = new RateLimit(GIVEN_PER_SECOND, loop.now);
    share?.ready(index);
  }

  /** Gives a connection to the pod of that uid, with nothing read from it, to whom carries less; false: it stays the caller's. */
  give(pod: string, fd: number): boolean {
    const share = this.#share;
    if (share === null) return false;
    const to = share.placeFor(this.#index);
    if (to === this.#index || !this.#limit.take(this.#loop.now)) return false;
    // At once, so that the next one does not go there for the same reason.
    share.add(to, 1);
    if (!this.#send({ kind: 'tunnel-given', pod, to }, [fd])) {
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
