// SPDX-License-Identifier: Apache-2.0
// Two node proxies with ztunnel's contract, one on each host, each in dedicated mode for the one workload there:
// configuration from a file, a test certificate authority, traffic captured by an nft rule. Ours, or another program.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../harness/eventually.ts';
import { type Background, background, run, tryRun } from '../../harness/run.ts';
import { type Host, HTTP_PORT, IPERF_PORT, SERVER_IP } from '../fabric.ts';
import type { Peer } from '../peer.ts';
import { startAuthority } from './authority.ts';
import { type MeshOptions, meshFile } from './mesh-file.ts';
import { startOneNode } from './one-node.ts';

/** The proxy runs as a user of its own, so that the rule can tell its connections from those it captures. */
export const PROXY_USER = 1337;
const PORTS = [IPERF_PORT, HTTP_PORT];

/** A peer that runs `command` on both hosts; where these are pods of one node, once beside them. */
export function ztunnelPeer(
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  mesh: MeshOptions = {},
): Peer {
  return {
    name,
    startOnOneNode: (fabric) => startOneNode(name, fabric, command, env, mesh),
    start: async ({ client, server }) => {
      const folder = mkdtempSync(join(tmpdir(), `ambit-load-${name}-`));
      const file = join(folder, 'mesh.yaml');
      writeFileSync(file, meshFile(mesh), { mode: 0o644 });
      await run('chmod', ['755', folder]);
      await using stack = new AsyncDisposableStack();
      stack.defer(() => rmSync(folder, { recursive: true, force: true }));
      const running: Background[] = [];
      for (const [host, workload] of [
        [server, 'server'],
        [client, 'client'],
      ] as const) {
        const authority = await startAuthority(host.inside, folder);
        stack.defer(() => authority.stop());
        const proxy = await startOn(host, workload, command, { ...authority.env, LOCAL_XDS_PATH: file, ...env });
        stack.defer(() => proxy.stop());
        running.push(proxy);
      }
      const [command_, ...args] = client.inside(['nft', '-f', '-']);
      await run(command_, args, { input: captureRules() });
      const kept = stack.move();
      return {
        doors: { iperf: { host: SERVER_IP, port: IPERF_PORT }, http: { host: SERVER_IP, port: HTTP_PORT } },
        pids: running.map(({ process }) => process.pid!),
        output: () => running.map((program) => program.output()).join(''),
        stop: () => kept.disposeAsync(),
      };
    },
  };
}

function captureRules(): string {
  return `table ip bench {
  chain output {
    type nat hook output priority -100
    meta skuid ${PROXY_USER} return
    ip daddr ${SERVER_IP} tcp dport { ${PORTS.join(', ')} } redirect to :15001
  }
}
`;
}

async function startOn(
  host: Host,
  workload: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
) {
  const settings = {
    XDS_ADDRESS: '',
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: `bench/${workload}/${workload}`,
    NODE_NAME: `node-${workload}`,
    INSTANCE_IP: host.ip,
    ENABLE_ORIG_SRC: 'false',
    IPV6_ENABLED: 'false',
    ZTUNNEL_WORKER_THREADS: '2',
    RUST_LOG: 'warn,access=off',
    DNS_CAPTURE: 'false',
    ISTIO_META_DNS_CAPTURE: 'false',
    ...env,
  };
  const drop = ['setpriv', `--reuid=${PROXY_USER}`, `--regid=${PROXY_USER}`, '--clear-groups'];
  const [program, ...args] = host.inside([...drop, ...command, 'proxy', 'ztunnel']);
  const running = background(program, args, settings);
  await eventually(`${command[0]} on ${workload} to be ready`, async () => {
    if (running.process.exitCode !== null) throw new Error(`it ended:\n${running.output().slice(-2000)}`);
    const [curl, ...rest] = host.inside(['curl', '-sf', '-m', '1', 'http://127.0.0.1:15021/healthz/ready']);
    return (await tryRun(curl, rest)).status === 0;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${running.output().slice(-2000)}`);
  });
  return running;
}
