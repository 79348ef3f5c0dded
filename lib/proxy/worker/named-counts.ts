// SPDX-License-Identifier: Apache-2.0
// Events of families with few label values, which keep their slots as long as the process lives: whoever counts one names it.
import type { Counters } from '#lib/loop/shared/counters.ts';
import type { Labels } from '../telemetry/labels.ts';
import type { SlotRoom } from './slot-room.ts';

export class NamedCounts {
  readonly #counters: Counters;
  readonly #room: SlotRoom;
  readonly #slots = new Map<string, number>();

  constructor(counters: Counters, room: SlotRoom) {
    this.#counters = counters;
    this.#room = room;
  }

  /** Lost when there is no room for the series. */
  add(name: string, labels: Labels, n: number): void {
    const key = `${name}|${Object.values(labels).join('|')}`;
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#room.take(name, labels);
      this.#slots.set(key, slot);
    }
    if (slot >= 0) this.#counters.add(slot, n);
  }
}
