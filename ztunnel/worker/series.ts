// SPDX-License-Identifier: Apache-2.0
// What is counted of connections between the same two parties, as slots in shared memory.

import { Fading } from '#lib/proxy/worker/fading.ts';
import type { EndTexts } from '../telemetry/access-line.ts';
import type { ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';

/** Slots of one set of labels; -1 is no slot. */
export class SeriesSlots extends Fading {
  readonly opened: number;
  readonly received: number;
  readonly sent: number;
  readonly closed = new Map<ResponseFlag, number>();
  readonly failed = new Map<ResponseFlag, number>();
  /** What they were last asked for by: of all who share the labels the one most likely to be there still. */
  latest: ConnectionRecord;

  constructor(latest: ConnectionRecord, opened: number, received: number, sent: number) {
    super();
    this.latest = latest;
    this.opened = opened;
    this.received = received;
    this.sent = sent;
  }
}

/** Slots of one set of labels, for connections between two parties. */
export class Series {
  readonly slots: SeriesSlots;
  // As in `slots`: they are asked for with every byte that passes.
  readonly received: number;
  readonly sent: number;
  /** A record of theirs. */
  readonly sample: ConnectionRecord;
  /** What lines say of the two; null until there is one. */
  ends: EndTexts | null = null;

  constructor(sample: ConnectionRecord, slots: SeriesSlots) {
    this.sample = sample;
    this.slots = slots;
    this.received = slots.received;
    this.sent = slots.sent;
  }
}
