// SPDX-License-Identifier: Apache-2.0
// HAProxy on both hosts as a mutual-TLS tunnel, two threads each, the way an operator would wrap TCP by hand.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { background } from '../../harness/run.ts';
import { HTTP_PORT, IPERF_PORT, SERVER_IP } from '../fabric.ts';
import type { Peer } from '../peer.ts';
import { makeCertificates } from './certificates.ts';

const PAIRS = [
  { name: 'iperf', near: 6201, far: 7201, port: IPERF_PORT },
  { name: 'http', near: 6080, far: 7080, port: HTTP_PORT },
] as const;

const COMMON = `global
  nbthread 2
  maxconn 9000
  tune.ssl.default-dh-param 2048
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
`;

export const haproxy: Peer = {
  name: 'haproxy',
  start: async ({ client, server }) => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-load-haproxy-'));
    await makeCertificates(folder);
    const tls = `crt ${folder}/peer.pem ca-file ${folder}/ca.crt`;
    const near = PAIRS.map(
      ({ name, near, far }) =>
        `listen ${name}\n  bind 127.0.0.1:${near}\n  server peer ${SERVER_IP}:${far} ssl verify required ${tls} ssl-min-ver TLSv1.3\n`,
    );
    const far = PAIRS.map(
      ({ name, far, port }) =>
        `listen ${name}\n  bind ${SERVER_IP}:${far} ssl verify required ${tls} ssl-min-ver TLSv1.3\n  server app ${SERVER_IP}:${port}\n`,
    );
    const start = (role: string, text: string, inside: typeof client.inside) => {
      const file = join(folder, `${role}.cfg`);
      writeFileSync(file, COMMON + text);
      const [command, ...args] = inside(['haproxy', '-db', '-f', file]);
      return background(command, args);
    };
    const running = [start('client', near.join(''), client.inside), start('server', far.join(''), server.inside)];
    return {
      doors: { iperf: { host: '127.0.0.1', port: PAIRS[0].near }, http: { host: '127.0.0.1', port: PAIRS[1].near } },
      pids: running.map(({ process }) => process.pid!),
      stop: async () => {
        for (const program of running) await program.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};
