// SPDX-License-Identifier: Apache-2.0
// What ztunnel's metrics tell of ztunnel itself, beside what every proxy's do.
import { readdirSync } from 'node:fs';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import type { Pods } from '../pods.ts';

export interface NodeSelf {
  /** Descriptors that the main process may have open. */
  readonly fileLimit: number;
  readonly pods: Pods;
  /** How many pods' capture has failed so far. */
  readonly pending: () => number;
}

export function exposeNode(exposition: Exposition, { fileLimit, pending, pods }: NodeSelf): void {
  const value = (name: string, read: () => number, labels: Readonly<Record<string, string>> = {}): void =>
    exposition.value(name, labels, read);
  value('process_open_fds', () => readdirSync('/proc/self/fd').length);
  value('process_max_fds', () => fileLimit);
  value('workload_manager_active_proxy_count', () => pods.list().filter(({ info }) => !info.self).length);
  value('workload_manager_pending_proxy_count', pending);
  value('workload_manager_proxies_started_total', () => pods.started);
  value('workload_manager_proxies_stopped_total', () => pods.stopped);
  // Every tunnel's chain is kept, so that none escapes a list that comes later.
  for (const reporter of ['source', 'destination'])
    value('istio_crl_untracked_connections_total', () => 0, { reporter });
}
