// SPDX-License-Identifier: Apache-2.0
// Where mesh and layer-7 configuration come from: the control plane over delta xDS, a YAML text, or both. `synced` resolves when
// the first whole picture is in.
import { readFile } from 'node:fs/promises';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { ADDRESS_TYPE } from '#lib/model/wds/state.ts';
import { meshStream } from '#lib/proxy/source/mesh-stream.ts';
import type { ServerSettings } from '#lib/proxy/source/server-access.ts';
import { watchFile } from '#lib/proxy/source/watch-file.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import type { DeltaClient } from '#lib/xds/client.ts';
import type { Config } from '../config.ts';
import type { L7State } from './l7-state.ts';
import { readLocalWaypoint } from './local-file.ts';

export interface Sources {
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

interface Parts {
  readonly mesh: MeshState;
  readonly l7: L7State;
  readonly log: Logger;
  readonly clock: Clock;
  readonly counts: XdsCounts;
  /** The control plane is there, for the first time or again. */
  readonly onConnected: () => void;
}

/** Throws LOCAL_CONFIG_INVALID when the file cannot be used. */
export async function openSources(config: Config, parts: Parts): Promise<Sources> {
  const { l7, log, mesh } = parts;
  const flushed = async (): Promise<void> => {
    await mesh.flushed();
    await l7.flushed();
  };
  if (config.localFile !== undefined) await loadLocal(config.localFile, config.worker.clusterId, parts);
  if (config.xds === undefined) {
    const { localFile } = config;
    if (localFile === undefined) log.warn('neither a control plane nor a local file: there is nothing to serve');
    const unwatch = localFile === undefined ? () => {} : follow(localFile, config.worker.clusterId, parts);
    return { synced: flushed(), close: async () => unwatch() };
  }
  const client = stream(config, config.xds, parts);
  client.start();
  return { synced: client.whenSynced().then(flushed), close: () => client.stop() };
}

function stream(config: Config, server: ServerSettings, parts: Parts): DeltaClient {
  const { clock, counts, l7, log, mesh, onConnected } = parts;
  const { authToken, nodeMetadata, pod, worker } = config;
  const { clusterId, nodeName } = worker;
  const types = [{ typeUrl: ADDRESS_TYPE, apply: mesh.applyAddresses }, ...l7.types];
  return meshStream({
    ...{ server, clock, log, counts, onConnected },
    asker: { type: 'waypoint', pod, nodeName, nodeMetadata, authToken, clusterId },
    subscriptions: types.map(({ apply, typeUrl }) => ({ typeUrl, mode: 'wildcard', handle: apply })),
  });
}

/** Reads the file again whenever it changes; one that cannot be used changes nothing. Returns the way to stop. */
function follow(path: string, clusterId: string, parts: Parts): () => void {
  return watchFile(path, parts, () => {
    loadLocal(path, clusterId, parts).catch((error: unknown) =>
      parts.log.error('the file that was changed is not used', { file: path, error: describeError(error) }),
    );
  });
}

/** What of layer 7 is no longer there is forgotten; workloads and services are added and replaced. */
async function loadLocal(path: string, clusterId: string, { l7, log, mesh }: Parts): Promise<void> {
  const read = readLocalWaypoint(await readFile(path, 'utf8'), clusterId);
  const problems = read.ok ? [] : read.problems.map(formatProblem);
  if (read.ok) {
    for (const workload of read.value.mesh.workloads) mesh.putWorkload(workload);
    for (const service of read.value.mesh.services) mesh.putService(service);
    mesh.flush();
    for (const { apply, typeUrl } of l7.types) {
      const given = read.value.resources.get(typeUrl) ?? [];
      const gone = [...l7.values(typeUrl).keys()].filter((name) => !given.some((one) => one.name === name));
      for (const { name, reason } of apply(given, gone)) problems.push(`${name}: ${reason}`);
    }
  }
  if (problems.length === 0) log.info('configuration read from a file', { file: path });
  else
    throw new AmbitError(
      'LOCAL_CONFIG_INVALID',
      `${path} cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    );
}
