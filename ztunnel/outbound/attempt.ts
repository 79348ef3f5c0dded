// SPDX-License-Identifier: Apache-2.0
// One way out, tried once for one captured connection: plain TCP, a tunnel, a tunnel in a tunnel, or the short way within the node. Until
// it has joined the application nothing is read from it, so that another way can be tried in its place.
import type { Ip } from '#lib/mesh/ip.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { Socket } from '#lib/net/socket.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { Pod } from '../inpod/pod.ts';
import type { ResponseFlag } from '../telemetry/connection.ts';
import type { Ledger } from '../worker/ledger.ts';

/** What an attempt knows of the connection it serves. */
export interface Captured {
  readonly pod: Pod;
  /** The application's; an attempt that joins it becomes its owner. */
  readonly socket: Socket;
  readonly source: { readonly ip: Ip; readonly port: number };
  /** `ip:port` of it. */
  readonly sourceText: string;
  readonly traceparent: string;
  readonly ledger: Ledger;
  /** The pod as the mesh knew it when the way was decided. */
  readonly local: WorkloadFacts;
}

/** A connection that is joined at both ends. It closes the ledger when it is over. */
export interface Joined {
  /** Cuts it, visibly broken on both sides. */
  kill(error: string): void;
}

/** Told once, either way, maybe before `begin` returns. Never after `cancel`. */
export interface AttemptOwner {
  onJoined(joined: Joined): void;
  /** Nothing was sent or read. `who` failed, so another in its place may not; undefined: nobody else would do. */
  onAttemptFailed(flag: ResponseFlag, error: string, who: Workload | undefined): void;
}

export interface Attempt {
  begin(): void;
  /** The application is gone, or the pod: lets go of everything and tells nobody of the connection. */
  cancel(error: string): void;
}
