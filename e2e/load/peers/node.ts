// SPDX-License-Identifier: Apache-2.0
// Node's http2 with pipe: what this project would be without its own data plane.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../harness/eventually.ts';
import { background } from '../../harness/run.ts';
import { type Host, HTTP_PORT, IPERF_PORT } from '../fabric.ts';
import type { Peer } from '../peer.ts';
import { makeCertificates } from './certificates.ts';
import { NEAR } from './node-tunnel.ts';

export const node: Peer = {
  name: 'node',
  start: async ({ client, server }) => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-load-node-'));
    await makeCertificates(folder);
    const start = async (role: string, host: Host) => {
      const program = join(import.meta.dirname, 'node-tunnel.ts');
      const [command, ...args] = host.inside([
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        program,
        role,
        folder,
      ]);
      const running = background(command, args);
      await eventually(`the ${role} of Node's tunnel`, () => /up/.test(running.output()), {
        withinMs: 10_000,
        everyMs: 20,
      });
      return running;
    };
    const far = await start('server', server);
    const near = await start('client', client);
    return {
      doors: {
        iperf: { host: '127.0.0.1', port: NEAR[IPERF_PORT] },
        http: { host: '127.0.0.1', port: NEAR[HTTP_PORT] },
      },
      pids: [near, far].map(({ process }) => process.pid!),
      stop: async () => {
        await near.stop();
        await far.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};
