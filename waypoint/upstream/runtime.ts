// SPDX-License-Identifier: Apache-2.0
// What the ways to servers need of a data-plane process.
import type { DialOptions } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { Random } from '#lib/mesh/balance.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import type { NameResolver } from '#lib/proxy/dns/name-resolver.ts';
import type { SharedMesh } from '#lib/proxy/state/shared-mesh.ts';
import type { WorkerSettings } from '../control.ts';
import type { L7View } from '../worker/l7-view.ts';
import type { TlsOriginations } from './origination.ts';
import type { Tunnels } from './tunnels.ts';

export interface UpstreamRuntime {
  readonly settings: Pick<WorkerSettings, 'ip'>;
  readonly loop: Loop;
  readonly bench: HttpBench;
  readonly mesh: SharedMesh;
  readonly l7: Pick<L7View, 'labels' | 'trafficPolicy' | 'version'>;
  readonly random: Random;
  readonly dialOptions: DialOptions;
  readonly tunnels: Tunnels;
  /** Addresses of endpoints that have host names only. */
  readonly names: NameResolver;
  readonly originations: TlsOriginations;
  /** This proxy as a workload: where it is decides what is near. */
  readonly self: () => Workload;
}
