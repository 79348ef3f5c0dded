// SPDX-License-Identifier: Apache-2.0
// Connections that wait for news of the mesh: an unknown local workload, an unknown address, a policy that is named and has not
// come. Each is asked again after every change of the store, and at its deadline once more, for the last time.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { MeshView } from '#lib/mesh/view.ts';

/**
 * Asked again; true when it waits no more. `last` says that it has to decide now, `absent` that the control plane has said there is
 * nothing to wait for.
 */
export type Retry = (last: boolean, absent: boolean) => boolean;

class Wait implements TimerTarget {
  readonly #waits: MeshWaits;
  readonly retry: Retry;
  readonly name: string;
  timer: TimerId = 0;

  constructor(waits: MeshWaits, retry: Retry, name: string) {
    this.#waits = waits;
    this.retry = retry;
    this.name = name;
  }

  onTimer(): void {
    this.#waits.expire(this);
  }

  cancel(): void {
    this.#waits.forget(this);
  }
}

/** Something that waits. */
export interface MeshWait {
  /** Nobody is asked any more. */
  cancel(): void;
}

export class MeshWaits {
  readonly #loop: Loop;
  readonly #waiting = new Set<Wait>();

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Asks `retry` whenever the mesh changes, and finally after `ms`.
   * @param name what is waited for, as the control plane is asked for it; '' when it is not asked
   */
  add(ms: number, retry: Retry, name = ''): MeshWait {
    const wait = new Wait(this, retry, name);
    wait.timer = this.#loop.after(ms, wait);
    this.#waiting.add(wait);
    return wait;
  }

  /** The mesh changed. */
  retryAll(): void {
    for (const wait of [...this.#waiting]) {
      if (this.#waiting.has(wait) && wait.retry(false, false)) this.forget(wait);
    }
  }

  /** For the wait itself. */
  expire(wait: Wait): void {
    wait.timer = 0;
    if (this.#waiting.delete(wait)) wait.retry(true, false);
  }

  /** The control plane knows nothing of `name` either. */
  absent(name: string): void {
    for (const wait of [...this.#waiting]) {
      if (wait.name !== name || !this.#waiting.has(wait)) continue;
      this.forget(wait);
      wait.retry(true, true);
    }
  }

  /** For the wait itself. */
  forget(wait: Wait): void {
    this.#waiting.delete(wait);
    if (wait.timer !== 0) this.#loop.cancel(wait.timer);
    wait.timer = 0;
  }
}

/** Whether something is known by the name the control plane is asked for: `<network>/<ip>` or `<namespace>/<hostname>`. */
export function isKnown(mesh: MeshView, network: string, name: string): boolean {
  const slash = name.indexOf('/');
  const ip = parseIp(name.slice(slash + 1));
  if (ip !== undefined) {
    return mesh.workloadByAddress(network, ip) !== undefined || mesh.serviceByAddress(network, ip, '') !== undefined;
  }
  const [namespace, hostname] = [name.slice(0, slash), name.slice(slash + 1)];
  return mesh.service(name) !== undefined || mesh.workloadByHostname(namespace, hostname) !== undefined;
}
