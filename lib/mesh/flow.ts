// SPDX-License-Identifier: Apache-2.0
//
// A connection as decisions see it: what the client dialled, and what arrives at the destination.

import type { Cidr } from './cidr.ts';
import type { RequestView } from './http/request.ts';
import type { Identity } from './identity.ts';
import type { Ip } from './ip.ts';
import type { Workload, WorkloadUid } from './workload.ts';

/** Settings that hold for every connection of a proxy. */
export interface OutboundOptions {
  /** The network that every address this proxy sees belongs to. */
  readonly network: string;
  /** Pod and service ranges of the cluster; an unknown address inside is news that has not arrived. */
  readonly clusterRanges: readonly Cidr[];
  /** What becomes of an unknown cluster address after the wait. */
  readonly unknownCluster: 'pass' | 'refuse';
}

/** A connection as the client dialled it. */
export interface OutboundFlow {
  readonly source: Workload;
  readonly ip: Ip;
  readonly port: number;
  /** Endpoints that refused or timed out for this connection. */
  readonly tried: readonly WorkloadUid[];
  /** Set when a `wait` verdict was waited for. */
  readonly waited: boolean;
}

/** A connection as inbound policy sees it. */
export interface InboundFlow {
  readonly sourceIp: Ip;
  /** From the peer's certificate; undefined for plaintext. */
  readonly identity: Identity | undefined;
  readonly destinationIp: Ip;
  readonly destinationPort: number;
  /** Of layer 7; never set at a node proxy. */
  readonly request?: RequestView;
}
