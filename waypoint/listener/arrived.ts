// SPDX-License-Identifier: Apache-2.0
// A connection that has come to a door, whatever it carries.
import type { Origin } from '../path/origin.ts';

/** Who a connection is of, and who is told when it is over. The context of HTTP connections. */
export interface Arrived {
  readonly origin: Origin;
  readonly onEnd: () => void;
}
