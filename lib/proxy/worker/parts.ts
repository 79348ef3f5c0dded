// SPDX-License-Identifier: Apache-2.0
// What every proxy's data-plane process is made of, whatever it does with connections.
import { AmbitError } from '#lib/kit/error.ts';
import { Admission } from '#lib/loop/acceptor.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { WorkerContext } from '#lib/loop/worker.ts';
import type { Random } from '#lib/mesh/balance.ts';
import { STORE_MEMORY } from '../control.ts';
import { SharedMesh } from '../state/shared-mesh.ts';
import { IpMemory } from './address.ts';
import { LiveInbound } from './live-inbound.ts';
import { WorkloadMemory } from './workload-facts.ts';

/** Descriptors kept for what is not a connection: listeners, tunnels, namespaces, the channel. */
const SPARE_DESCRIPTORS = 512;
/** With however few descriptors, so many connections are tried. */
const LEAST_CONNECTIONS = 64;

export interface WorkerParts {
  readonly loop: Loop;
  /** The records of the mesh, as main last committed them. */
  readonly mesh: SharedMesh;
  readonly memory: WorkloadMemory;
  readonly ips: IpMemory;
  /** What was let in, which policies judge again when they change. */
  readonly liveInbound: LiveInbound;
  readonly admission: Admission;
  readonly random: Random;
}

/** The memory in which main keeps what all its processes read. Throws WORKER_MEMORY when it was not passed. */
export function openStore({ memory }: WorkerContext): StoreReader {
  const fd = memory[STORE_MEMORY];
  if (fd === undefined) throw new AmbitError('WORKER_MEMORY', `no shared memory by the name ${STORE_MEMORY}`);
  return StoreReader.open(fd);
}

/** `maxConnections`: null for what the descriptors allow, of which a connection takes two. */
export function workerParts(
  { fileLimit, loop }: WorkerContext,
  store: StoreReader,
  maxConnections: number | null,
): WorkerParts {
  const byDescriptors = Math.max(LEAST_CONNECTIONS, Math.floor((fileLimit - SPARE_DESCRIPTORS) / 2));
  return {
    loop,
    mesh: new SharedMesh(store),
    memory: new WorkloadMemory(),
    ips: new IpMemory(),
    liveInbound: new LiveInbound(loop),
    admission: new Admission(maxConnections ?? byDescriptors),
    random: Math.random,
  };
}
