// SPDX-License-Identifier: Apache-2.0
// What every part of one data-plane process shares. Built once in worker.ts and handed on; nothing here is global.
import type { DialOptions } from '#lib/linux/socket.ts';
import type { Admission } from '#lib/loop/acceptor.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { Random } from '#lib/mesh/balance.ts';
import type { OutboundOptions } from '#lib/mesh/flow.ts';
import type { Workbench } from '#lib/net/workbench.ts';
import type { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import type { SharedMesh } from '#lib/proxy/state/shared-mesh.ts';
import type { IpMemory } from '#lib/proxy/worker/address.ts';
import type { CutLog } from '#lib/proxy/worker/cut-log.ts';
import type { Identities } from '#lib/proxy/worker/identities.ts';
import type { LiveInbound } from '#lib/proxy/worker/live-inbound.ts';
import type { RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import type { WorkloadMemory } from '#lib/proxy/worker/workload-facts.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { ToMain, WorkerSettings } from '../control.ts';
import type { VerdictMemory } from '../inbound/verdict-memory.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { MeshWaits } from './mesh-waits.ts';
import type { RecentConnections } from './recent.ts';
import type { Telemetry } from './telemetry.ts';
import type { TraceIds } from './trace-ids.ts';

export interface Runtime {
  readonly settings: WorkerSettings;
  readonly loop: Loop;
  readonly bench: Workbench;
  readonly mesh: SharedMesh;
  readonly identities: Identities;
  readonly revocations: RevocationCheck;
  readonly memory: WorkloadMemory;
  readonly ips: IpMemory;
  readonly telemetry: Telemetry;
  readonly httpMetrics: HttpMetrics;
  /** Addresses of endpoints known by host name. */
  readonly names: NameResolver;
  readonly cuts: CutLog;
  readonly recent: RecentConnections;
  readonly waits: MeshWaits;
  readonly liveInbound: LiveInbound;
  readonly admission: Admission;
  readonly traceIds: TraceIds;
  readonly verdicts: VerdictMemory;
  readonly random: Random;
  readonly outbound: OutboundOptions;
  readonly clientH2: H2Settings;
  readonly serverH2: H2Settings;
  /** Options of every socket dialled towards an application or a plain destination, but for namespace and source. */
  readonly dialOptions: DialOptions;
  /** Options of tunnels: as above and TCP_USER_TIMEOUT, since PING cannot see unacknowledged bytes (trap 20). */
  readonly tunnelOptions: DialOptions;
  readonly toMain: (message: ToMain) => void;
}
