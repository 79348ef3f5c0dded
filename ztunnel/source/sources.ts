// SPDX-License-Identifier: Apache-2.0
// Where the mesh comes from: the control plane over delta xDS, a YAML text, or both. `synced` resolves when the first whole picture is in.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/model/wds/state.ts';
import { meshStream } from '#lib/proxy/source/mesh-stream.ts';
import type { ServerSettings } from '#lib/proxy/source/server-access.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import type { DeltaClient } from '#lib/xds/client.ts';
import { HEALTH_TYPE } from '#lib/xds/resource.ts';
import type { Config } from '../config.ts';
import { LocalMesh } from './local-mesh.ts';

export interface Sources {
  /** Resolves once the mesh is whole for the first time. */
  readonly synced: Promise<void>;
  /** Asks for `network/ip` or `namespace/hostname` of which nothing is known; without on-demand it says nothing new. */
  want(name: string): void;
  /** Tells the control plane how the application is. @param error why it is not well */
  report(error: string | undefined): void;
  close(): Promise<void>;
}

interface Parts {
  readonly state: MeshState;
  readonly log: Logger;
  readonly clock: Clock;
  readonly counts: XdsCounts;
  /** The control plane is there, for the first time or again. */
  readonly onConnected: () => void;
  /** The control plane has nothing by a name that was wanted. */
  readonly onAbsent: (name: string) => void;
}

/** Throws LOCAL_MESH_INVALID when the file cannot be used. */
export async function openSources(config: Config, parts: Parts): Promise<Sources> {
  const local = await openLocalMesh(config, parts);
  if (config.xds === undefined) {
    if (config.localXds === undefined) parts.log.warn('neither a control plane nor a local file: the mesh stays empty');
    return { synced: parts.state.flushed(), want: () => {}, report: () => {}, close: async () => local?.close() };
  }
  const client = stream(config, config.xds, parts);
  client.start();
  return {
    synced: client.whenSynced().then(() => parts.state.flushed()),
    want: (name) => client.want(ADDRESS_TYPE, [name]),
    report: (error) => client.report(HEALTH_TYPE, error),
    close: () => {
      local?.close();
      return client.stop();
    },
  };
}

function stream(config: Config, server: ServerSettings, parts: Parts): DeltaClient {
  const { state, log, clock, counts, onAbsent, onConnected } = parts;
  const { authToken, nodeMetadata, pod, worker, xdsOnDemand } = config;
  const { clusterId, nodeName } = worker;
  return meshStream({
    ...{ server, clock, log, counts, onConnected },
    asker: { type: 'ztunnel', pod, nodeName, nodeMetadata, authToken, clusterId },
    subscriptions: [
      {
        typeUrl: ADDRESS_TYPE,
        mode: xdsOnDemand ? 'on-demand' : 'wildcard',
        handle: (resources, removed) => {
          const rejected = state.applyAddresses(resources, removed);
          if (xdsOnDemand) removed.forEach(onAbsent);
          return rejected;
        },
      },
      { typeUrl: AUTHORIZATION_TYPE, mode: 'wildcard', handle: state.applyAuthorizations },
    ],
  });
}

async function openLocalMesh(
  { localXds, worker }: Config,
  { clock, log, state }: Parts,
): Promise<LocalMesh | undefined> {
  if (localXds === undefined) return undefined;
  const local = new LocalMesh({ source: localXds, clusterId: worker.clusterId, state, clock, log });
  await local.start();
  return local;
}
