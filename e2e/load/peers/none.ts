// SPDX-License-Identifier: Apache-2.0
// No proxy at all: what the machine can do.
import { HTTP_PORT, IPERF_PORT, SERVER_IP } from '../fabric.ts';
import type { Peer } from '../peer.ts';

export const none: Peer = {
  name: 'none',
  start: async () => ({
    doors: { iperf: { host: SERVER_IP, port: IPERF_PORT }, http: { host: SERVER_IP, port: HTTP_PORT } },
    pids: [],
    stop: async () => {},
  }),
};
