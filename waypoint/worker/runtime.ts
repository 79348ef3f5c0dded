// SPDX-License-Identifier: Apache-2.0
// What the parts of one data-plane process share, those that lead to servers (upstream/runtime.ts) less than others. Built once in
// assembly.ts and handed on; nothing here is global.
import type { DialOptions } from '#lib/linux/socket.ts';
import type { ServerTimeouts } from '#lib/net/http/exchange.ts';
import type { Session } from '#lib/net/session.ts';
import type { CutLog } from '#lib/proxy/worker/cut-log.ts';
import type { Identities } from '#lib/proxy/worker/identities.ts';
import type { WorkerParts } from '#lib/proxy/worker/parts.ts';
import type { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import type { RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import type { TunnelShare } from '#lib/proxy/worker/tunnel-share.ts';
import type { Authorisers } from '../authoriser/authorisers.ts';
import type { WorkerSettings } from '../control.ts';
import type { Connections } from '../listener/connections.ts';
import type { Observers } from '../telemetry/observer.ts';
import type { Clusters } from '../upstream/clusters.ts';
import type { UpstreamRuntime } from '../upstream/runtime.ts';
import type { L7View } from './l7-view.ts';
import type { RequestIds } from './request-ids.ts';
import type { Telemetry } from './telemetry.ts';

export interface Runtime extends WorkerParts, UpstreamRuntime {
  readonly settings: WorkerSettings;
  readonly l7: L7View;
  readonly trust: PeerTrust;
  readonly identities: Identities;
  readonly ids: RequestIds;
  readonly timeouts: ServerTimeouts;
  readonly tunnelOptions: DialOptions;
  readonly clusters: Clusters;
  readonly authorisers: Authorisers;
  readonly connections: Connections;
  readonly cuts: CutLog;
  readonly revocations: RevocationCheck;
  /** Tunnels that clients opened. */
  readonly inbound: Set<Session>;
  /** How many of them each process carries. */
  readonly share: TunnelShare;
  readonly telemetry: Telemetry;
  readonly observers: Observers;
  /** Wall clock, ms with fractions. */
  readonly now: () => number;
}
