// SPDX-License-Identifier: Apache-2.0
// What the two variants of the protocol have in common for the server that carries them: requests in, responses out.

import type { DeltaDiscoveryRequest, DiscoveryRequest } from '#lib/proto/gen/discovery_pb.ts';
import type { TypeStatus } from './dialogue.ts';
import type { ServerResponse } from './responder.ts';
import type { Peer, Received } from './server-stream.ts';

export type AnyRequest = DeltaDiscoveryRequest | DiscoveryRequest;

/** One client's stream. A port's service gives each the requests of its own variant only. */
export interface Conversation {
  readonly peer: Peer;
  status(): TypeStatus[];
  receive(request: AnyRequest): Received;
  /** Responses for what has changed since each type was last told, of those types whose client is ready for more. */
  push(): ServerResponse[] | 'too-far-behind';
}
