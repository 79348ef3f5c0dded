// SPDX-License-Identifier: Apache-2.0
// One way to an endpoint. What is spoken on its connections, TLS to the server among it, is the member's business.
import type { ConnectionPool } from '#lib/mesh/http/traffic-policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';

export interface Reach {
  /** Ways of equal keys are one way: connections made by the one serve the other. */
  readonly key: string;
  /** `ip:port`, or `name:port` while only the name is known. */
  readonly address: string;
  /** By a tunnel, so that the other end proves who it is. */
  readonly tunnelled: boolean;
  /** Who is expected there; '' where nobody proves anything, or any of several may. */
  readonly principal: string;
  connect(pool: ConnectionPool, outcome: DialOutcome): Dialling;
}

/** What is to be reached. */
export interface Place {
  readonly workload: Workload;
  readonly port: number;
  /** The service that it is an endpoint of, and the service's port; null for a workload that was addressed itself. */
  readonly service: Service | null;
  readonly servicePort: number;
}
