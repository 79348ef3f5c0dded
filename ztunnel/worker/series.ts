// SPDX-License-Identifier: Apache-2.0
// What is counted of connections between the same two parties, as slots in shared memory.

import type { EndTexts } from '../telemetry/access-line.ts';
import type { ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';

/** Slots of one set of labels, for connections between two parties. */
export class Series {
  readonly opened: number;
  readonly received: number;
  readonly sent: number;
  readonly closed: Map<ResponseFlag, number>;
  readonly failed: Map<ResponseFlag, number>;
  /** A record of theirs. */
  readonly sample: ConnectionRecord;
  /** What lines say of the two; null until there is one. */
  ends: EndTexts | null = null;

  constructor(
    sample: ConnectionRecord,
    { opened, received, sent, closed, failed }: Pick<Series, 'opened' | 'received' | 'sent' | 'closed' | 'failed'>,
  ) {
    this.sample = sample;
    this.opened = opened;
    this.received = received;
    this.sent = sent;
    this.closed = closed;
    this.failed = failed;
  }
}
