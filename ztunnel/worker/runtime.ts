// SPDX-License-Identifier: Apache-2.0
// What every part of one data-plane process shares. Built once in assembly.ts and handed on; nothing here is global.
import type { DialOptions } from '#lib/linux/socket.ts';
import type { OutboundOptions } from '#lib/mesh/flow.ts';
import type { Workbench } from '#lib/net/workbench.ts';
import type { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import type { CutLog } from '#lib/proxy/worker/cut-log.ts';
import type { Identities } from '#lib/proxy/worker/identities.ts';
import type { WorkerParts } from '#lib/proxy/worker/parts.ts';
import type { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import type { RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import type { TunnelShare } from '#lib/proxy/worker/tunnel-share.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { ToMain, WorkerSettings } from '../control.ts';
import type { VerdictMemory } from '../inbound/verdict-memory.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { MeshWaits } from './mesh-waits.ts';
import type { RecentConnections } from './recent.ts';
import type { Telemetry } from './telemetry.ts';
import type { TraceIds } from './trace-ids.ts';

export interface Runtime extends WorkerParts {
  readonly settings: WorkerSettings;
  readonly tunnels: TunnelShare;
  readonly bench: Workbench;
  readonly trust: PeerTrust;
  readonly identities: Identities;
  readonly revocations: RevocationCheck;
  readonly telemetry: Telemetry;
  readonly httpMetrics: HttpMetrics;
  /** Addresses of endpoints known by host name. */
  readonly names: NameResolver;
  readonly cuts: CutLog;
  readonly recent: RecentConnections;
  readonly waits: MeshWaits;
  readonly traceIds: TraceIds;
  readonly verdicts: VerdictMemory;
  readonly outbound: OutboundOptions;
  readonly clientH2: H2Settings;
  readonly serverH2: H2Settings;
  /** Options of every socket dialled towards an application or a plain destination, but for namespace and source. */
  readonly dialOptions: DialOptions;
  /** Options of tunnels: as above and TCP_USER_TIMEOUT, since PING cannot see unacknowledged bytes (trap 20). */
  readonly tunnelOptions: DialOptions;
  readonly toMain: (message: ToMain) => void;
}
