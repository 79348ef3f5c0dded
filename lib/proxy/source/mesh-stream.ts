// SPDX-License-Identifier: Apache-2.0
// A proxy's stream from the control plane: delta xDS under the proxy's own name, each type counted and given to whoever keeps it.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { DeltaClient } from '#lib/xds/client.ts';
import type { Subscription } from '#lib/xds/client-state.ts';
import { makeNode } from '#lib/xds/node.ts';
import type { XdsCounts } from '../telemetry/xds-counts.ts';
import { type ServerSettings, serverEndpoint } from './server-access.ts';

/** Who asks. */
export interface Asker {
  readonly type: 'ztunnel' | 'waypoint';
  readonly pod: { readonly name: string; readonly namespace: string; readonly ip: string };
  readonly nodeName: string;
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  readonly authToken: string;
  readonly clusterId: string;
}

export interface MeshStreamOptions {
  readonly server: ServerSettings;
  readonly asker: Asker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counts: XdsCounts;
  readonly subscriptions: readonly Subscription[];
  /** Called when the control plane is there, for the first time or again. */
  readonly onConnected: () => void;
}

/** Stands for an address that is not known; control planes want one. */
const ANY_IP = '1.1.1.1';

/** Not started yet. */
export function meshStream(options: MeshStreamOptions): DeltaClient {
  const { asker, clock, counts, log, onConnected, server, subscriptions } = options;
  const { authToken, clusterId, nodeMetadata, nodeName, pod, type } = asker;
  const metadata = { NODE_NAME: nodeName, ...nodeMetadata } as Parameters<typeof makeNode>[2];
  const { ip, name, namespace } = pod;
  return new DeltaClient({
    endpoint: serverEndpoint(server, { authToken, clusterId }),
    node: makeNode({ type, ip: ip === '' ? ANY_IP : ip, name, namespace }, 'cluster.local', metadata),
    clock,
    log: log.child('xds'),
    onConnected: (connected) => {
      counts.connection(connected);
      if (connected) onConnected();
    },
    subscriptions: subscriptions.map((subscription) => ({
      ...subscription,
      handle: (resources, removed) => {
        counts.message(subscription.typeUrl, resources);
        return subscription.handle(resources, removed);
      },
    })),
  });
}
