// SPDX-License-Identifier: Apache-2.0
// What metrics and the access log are told of an outbound connection.

import type { Service } from '#lib/mesh/service.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { ConnectionRecord, Security } from '../telemetry/connection.ts';
import { traceIdOf } from '../worker/trace-ids.ts';
import type { Captured } from './attempt.ts';

/** The far end as it is told; `party` undefined where nothing is known of it. */
export interface FarEnd {
  readonly party: Party | undefined;
  /** SPIFFE URI, '' where none is known. */
  readonly uri: string;
}

const NOBODY: FarEnd = { party: undefined, uri: '' };

/**
 * @param address where the bytes really go, `ip:port`
 * @param authority of the CONNECT, '' without a tunnel
 */
export function outboundRecord(
  { sourceText, traceparent, local }: Captured,
  security: Security,
  address: string,
  authority: string,
  farEnd: FarEnd = NOBODY,
  service: Service | undefined = undefined,
): ConnectionRecord {
  return {
    direction: 'outbound',
    traceId: traceIdOf(traceparent),
    security,
    sourceAddress: sourceText,
    source: local.party,
    sourceIdentity: security === 'none' ? '' : local.uri,
    destinationAddress: address,
    hboneAddress: authority,
    destination: farEnd.party,
    destinationIdentity: farEnd.uri,
    service,
  };
}
