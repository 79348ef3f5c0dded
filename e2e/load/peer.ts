// SPDX-License-Identifier: Apache-2.0
// What is measured: a way from the client host to the servers on the other.
import type { Fabric } from './fabric.ts';

/** Where clients dial, on the client host. */
export interface Doors {
  readonly iperf: { readonly host: string; readonly port: number };
  readonly http: { readonly host: string; readonly port: number };
}

export interface RunningPeer {
  readonly doors: Doors;
  /** Processes that belong to the peer, without their children. */
  readonly pids: readonly number[];
  /** What the peer has printed. */
  output?(): string;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Starts on both hosts; resolves when it carries traffic. */
  start(fabric: Fabric): Promise<RunningPeer>;
  /** Starts where both hosts are pods of one node; absent when that makes no difference to this peer. */
  startOnOneNode?(fabric: Fabric): Promise<RunningPeer>;
}
