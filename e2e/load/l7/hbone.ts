// SPDX-License-Identifier: Apache-2.0
// The waypoint as a waypoint: requests come to it by HBONE and leave it by HBONE. Three of them stand in a row, the first for the
// client's node proxy (plain in, HBONE out), the last for the server's (HBONE in, plain out); what the one in the middle uses is
// measured. Tunnels have a fixed port, so each has an address of its own on loopback.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Background } from '../../harness/run.ts';
import type { L7Peer } from './peer.ts';
import { startWaypoint } from './start.ts';

const MIDDLE = '127.20.0.2';
/** Where the content server listens, too. */
export const MESH_SERVER = '127.20.0.3';
const SERVICE = 'default/app.x';
/** Certificates of one throw-away authority that all three know. */
const ENV = { FAKE_CA: 'true', AMBIT_ACCESS_LOG: 'off' };

export const hbone: L7Peer = {
  name: 'ambit-hbone',
  takes: ({ mesh }) => mesh === true,
  h2Port: (port) => port,
  start: (port, upstream, _setting, folder) => {
    const first = start(folder, 'first', '127.0.0.1', {
      ...meshOf(MIDDLE, 80, 'HBONE'),
      waypoint: { name: 'default/first', listeners: [{ name: 'http', port, protocol: 'HTTP', routeTable: 'routes' }] },
      routeTables: [
        {
          name: 'routes',
          http: [
            {
              hosts: [{ hosts: ['*'], entries: [{ rule: 0, match: { path: { kind: 'KIND_ANY' } } }] }],
              rules: [{ name: 'r', backends: [{ weight: 1, target: { service: SERVICE, port: 80 } }] }],
            },
          ],
        },
      ],
    });
    const middle = start(folder, 'middle', MIDDLE, {
      ...meshOf(MESH_SERVER, upstream, 'HBONE', MIDDLE),
      waypoint: { name: 'default/middle', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
    });
    const last = start(folder, 'last', MESH_SERVER, {
      ...meshOf(MESH_SERVER, upstream, 'TCP'),
      waypoint: { name: 'default/last', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
    });
    return {
      process: middle.process,
      output: () => [first, middle, last].map((one) => one.output()).join(''),
      stop: async (signal) => {
        await Promise.all([first, middle, last].map((one) => one.stop(signal)));
      },
    };
  },
};

/** One service with one endpoint. */
function meshOf(endpoint: string, target: number, protocol: 'HBONE' | 'TCP', vip = ''): object {
  return {
    workloads: [
      {
        uid: 'app',
        name: 'app',
        namespace: 'default',
        serviceAccount: 'default',
        protocol,
        workloadIps: [endpoint],
        services: { [SERVICE]: { 80: target } },
      },
    ],
    services: [
      {
        name: 'app',
        namespace: 'default',
        hostname: 'app.x',
        vips: vip === '' ? [] : [`/${vip}`],
        ports: { 80: target },
      },
    ],
  };
}

function start(folder: string, name: string, address: string, configuration: object): Background {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, JSON.stringify(configuration));
  return startWaypoint(path, { ...ENV, AMBIT_BIND: address });
}
