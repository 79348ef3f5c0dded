// SPDX-License-Identifier: Apache-2.0
// Whose tunnels end in vain again and again. A flood of frames is cut off when its budget is used up, and whoever sends it comes back at
// once; what it costs us from then on are handshakes, a millisecond each, and a budget each. So an address that was cut off
// several times lately has to wait: its connections are let in one after another, with a pause between them. Nothing happens to its
// tunnels that are open, and nothing to others. An address cannot be forged that far: it has finished a TCP handshake at least.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { Loop } from '#lib/loop/loop.ts';

/** What an end counts: a tunnel that was cut off for what it did; one that came to nothing; a connection that spoke no TLS. */
export const OFFENCE = { cut: 1, vain: 1 / 4, noTls: 1 / 16 } as const;

/** Offences that have no consequence: a peer that is updated, restarted or configured badly makes a few. */
const TOLERATED = 8;
/** The pause is twice as long for each so many beyond. */
const STEP = 4;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 500;
/** Beyond this none count, so that all are forgiven in half a minute. */
const MOST = 32;
/** Offences count half after so many ms. */
const HALF_LIFE_MS = 10_000;
/** Addresses of a generation: there are no more pods in most meshes. */
const ADDRESSES = 4096;

/** An address that connections ended badly of. Times are monotonic ms. */
export interface Offender {
  readonly address: string;
  /** As they counted at `at`. */
  offences: number;
  at: number;
  /** What the last of them was. */
  reason: string;
  /** When the next connection may come in. */
  nextAt: number;
  /** Connections that wait at the door now; since when some do, and when one began to or went last. */
  waiting: number;
  waitsSince: number;
  waitedAt: number;
}

/** Told of connections that have to wait at the door. */
export interface HeldObserver {
  /** One more of `offender` waits. */
  onHeld(offender: Offender): void;
  /** One waits no longer. */
  onLetGo(offender: Offender): void;
}

/** Between two that wait for so many ms nobody has waited: then they began anew. */
const SAME_MS = 10_000;
const NOBODY_LOOKS: HeldObserver = { onHeld: () => {}, onLetGo: () => {} };

export class Offenders {
  /** Hears of those that wait. */
  observer: HeldObserver = NOBODY_LOOKS;
  readonly #loop: Pick<Loop, 'now'>;
  readonly #known: AgingMap<string, Offender>;

  constructor(loop: Pick<Loop, 'now'>) {
    this.#loop = loop;
    this.#known = new AgingMap({ most: ADDRESSES, monotonic: () => loop.now });
  }

  /** Something of `address` ended so. `offence` is one of OFFENCE, `reason` what to tell of it. */
  note(address: string, offence: number, reason: string): void {
    const { now } = this.#loop;
    const known = this.#known.get(address);
    if (known !== undefined) {
      known.offences = Math.min(MOST, offencesOf(known, now) + offence);
      known.at = now;
      known.reason = reason;
      return;
    }
    const none = { nextAt: 0, waiting: 0, waitsSince: 0, waitedAt: Number.NEGATIVE_INFINITY };
    this.#known.set(address, { address, offences: offence, at: now, reason, ...none });
  }

  /** 0: a connection of `address` may come in, and has; otherwise how many ms later it may ask again. */
  wait(address: string): number {
    const known = this.#known.get(address);
    if (known === undefined) return 0;
    const { now } = this.#loop;
    const beyond = offencesOf(known, now) - TOLERATED;
    if (beyond < 0) return 0;
    if (now < known.nextAt) return Math.max(1, known.nextAt - now);
    known.nextAt = now + Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** Math.floor(beyond / STEP));
    return 0;
  }

  /** A connection of `address`, which `wait` told to, begins to wait; what `letGo` takes when that is over. */
  hold(address: string): Offender | null {
    const { now } = this.#loop;
    const known = this.#known.get(address);
    if (known === undefined) return null;
    if (known.waiting++ === 0 && now - known.waitedAt > SAME_MS) known.waitsSince = now;
    known.waitedAt = now;
    this.observer.onHeld(known);
    return known;
  }

  /** It came in, or left. */
  letGo(offender: Offender): void {
    offender.waiting--;
    offender.waitedAt = this.#loop.now;
    this.observer.onLetGo(offender);
  }
}

/** What its offences still count. */
export function offencesOf({ at, offences }: Offender, now: number): number {
  return offences * 0.5 ** ((now - at) / HALF_LIFE_MS);
}
