// SPDX-License-Identifier: Apache-2.0
//
// Gateway API's ListenerSet: listeners that somebody else than a Gateway's owner adds to it.

import type { CustomObject } from '../object/object.ts';
import type { Listener } from '../waypoint/gateway.ts';

export interface ListenerSet extends CustomObject {
  readonly spec?: {
    readonly parentRef?: {
      readonly group?: string;
      readonly kind?: string;
      readonly name?: string;
      readonly namespace?: string;
    };
    readonly listeners?: readonly Listener[];
  };
}
