// SPDX-License-Identifier: Apache-2.0
// What a proxy's metrics tell of the proxy itself.
import type { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import type { WorkerProcess } from '#lib/loop/workers.ts';
import type { Exposition } from './exposition.ts';
import type { WorkerLines } from './worker-lines.ts';

export interface Self {
  /** `component` and `tag` of `istio_build`. */
  readonly component: string;
  readonly tag: string;
  readonly pool: { readonly restarts: number; processes(): readonly WorkerProcess[] };
  readonly store: StoreWriter;
  readonly lines: WorkerLines;
}

export function exposeSelf(exposition: Exposition, { component, lines, pool, store, tag }: Self): void {
  const value = (name: string, read: () => number, labels: Readonly<Record<string, string>> = {}): void =>
    exposition.value(name, labels, read);
  const all = (read: (worker: WorkerProcess) => number): number =>
    pool.processes().reduce((sum, worker) => sum + read(worker), 0);
  value('istio_build', () => 1, { component, tag });
  value('ambit_worker_restarts_total', () => pool.restarts);
  value('ambit_worker_connections', () => all(({ vitals }) => vitals.connections));
  value('ambit_worker_tunnels', () => all(({ vitals }) => vitals.tunnels));
  value('ambit_mesh_store_bytes', () => store.usedBytes);
  value('ambit_mesh_store_records', () => store.records);
  value('ambit_access_log_dropped_total', () => lines.dropped + all(({ log }) => log.droppedAccess + log.droppedDeny));
}
