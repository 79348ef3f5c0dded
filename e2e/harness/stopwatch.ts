// SPDX-License-Identifier: Apache-2.0
// Time on a machine that others use, too: what passed, and how much of it the machine gave. Time counts as withheld while
// some process waited for a processor or a disk (the kernel's pressure stall information), and while this one was not run
// when it should have been.
import { readFileSync } from 'node:fs';

const TICK_MS = 50;
/** Lateness of a tick that is nobody's fault. */
const LATE_MS = 50;

export class Stopwatch implements Disposable {
  readonly #started = performance.now();
  readonly #pressure = pressureMs();
  #late = 0;
  #tick = performance.now();
  readonly #timer = setInterval(() => this.#look(), TICK_MS);

  constructor() {
    this.#timer.unref();
  }

  get elapsedMs(): number {
    return performance.now() - this.#started;
  }

  /** What passed and was not withheld; at least nothing. */
  get fairMs(): number {
    this.#look();
    return Math.max(0, this.elapsedMs - Math.max(this.#late, pressureMs() - this.#pressure));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const late = now - this.#tick - TICK_MS;
    this.#tick = now;
    if (late > LATE_MS) this.#late += late;
  }
}

/** Time during which something waited, since the machine started; 0 where the kernel does not tell. */
function pressureMs(): number {
  return ['cpu', 'io'].reduce((sum, resource) => sum + someMs(resource), 0);
}

function someMs(resource: string): number {
  try {
    const [, us] = /^some .*total=(\d+)$/m.exec(readFileSync(`/proc/pressure/${resource}`, 'utf8')) ?? [];
    return Number(us ?? 0) / 1000;
  } catch {
    return 0;
  }
}
