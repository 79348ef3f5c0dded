// SPDX-License-Identifier: Apache-2.0
// Signs of life of one data-plane process: the main process tells a wedged loop from an idle one by them, and says after a
// crash what was cut. One writer; every field is an aligned word.
import type { TurnObserver } from '../loop.ts';
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

const INTS = 16;
const BEAT = 0;
const CONNECTIONS = 1;
const TUNNELS = 2;
const READY = 3;
const LONGEST_TURN_MS = 0;
const BUSY_MS = 1;
const TURNS = 2;
const EVENTS = 3;

export class Vitals implements TurnObserver {
  readonly fd: number;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;

  private constructor(region: Region) {
    this.fd = region.fd;
    const { buffer, byteOffset } = region.arena.bytes;
    this.#ints = new Int32Array(buffer, byteOffset + HEADER_BYTES, INTS);
    this.#doubles = new Float64Array(buffer, byteOffset + HEADER_BYTES + INTS * 4, 8);
  }

  static create(): Vitals {
    return new Vitals(createRegion('vitals', INTS * 4 + 64));
  }

  static open(fd: number, options: { readonly writable: boolean }): Vitals {
    return new Vitals(openRegion('vitals', fd, options));
  }

  /** Notes a turn; the loop calls it. */
  onTurn(events: number, busyMicros: number, _flushed: number): void {
    const busyMs = busyMicros / 1000;
    this.#ints[BEAT] = (this.#ints[BEAT]! + 1) | 0;
    const doubles = this.#doubles;
    if (busyMs > doubles[LONGEST_TURN_MS]!) doubles[LONGEST_TURN_MS] = busyMs;
    doubles[BUSY_MS]! += busyMs;
    doubles[TURNS]! += 1;
    doubles[EVENTS]! += events;
  }

  /** Notes that the process finished its start. */
  markReady(): void {
    this.#ints[READY] = 1;
  }

  /** Application connections open now; the program keeps it. */
  setConnections(count: number): void {
    this.#ints[CONNECTIONS] = count;
  }

  /** Tunnels open now; the program keeps it. */
  setTunnels(count: number): void {
    this.#ints[TUNNELS] = count;
  }

  /** Changes with every turn. */
  get beat(): number {
    return Atomics.load(this.#ints, BEAT);
  }

  get ready(): boolean {
    return Atomics.load(this.#ints, READY) === 1;
  }

  get connections(): number {
    return Atomics.load(this.#ints, CONNECTIONS);
  }

  get tunnels(): number {
    return Atomics.load(this.#ints, TUNNELS);
  }

  /** Longest time between two waits so far, in ms. */
  get longestTurnMs(): number {
    return this.#doubles[LONGEST_TURN_MS]!;
  }

  /** Time spent outside waits so far, in ms. */
  get busyMs(): number {
    return this.#doubles[BUSY_MS]!;
  }

  get turns(): number {
    return this.#doubles[TURNS]!;
  }

  get events(): number {
    return this.#doubles[EVENTS]!;
  }
}
