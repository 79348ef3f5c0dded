// SPDX-License-Identifier: Apache-2.0
// One node proxy with ztunnel's contract for two pods of its node: in shared mode, in a third namespace, told of the
// pods as a node agent would tell it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeAgent } from '#lib/testkit/node-agent.ts';
import { eventually } from '../../harness/eventually.ts';
import { background, run, tryRun } from '../../harness/run.ts';
import { type Fabric, HTTP_PORT, IPERF_PORT, SERVER_IP } from '../fabric.ts';
import type { RunningPeer } from '../peer.ts';
import { startAuthority } from './authority.ts';
import { type MeshOptions, meshFile, NAMESPACE, WORKLOADS } from './mesh-file.ts';

const NODE = 'node-one';
/** What a node proxy marks its own connections in a pod's namespace with. */
const MARK = 0x539;
const CAPTURE = `table ip bench {
  chain output {
    type nat hook output priority -100
    meta mark & 0xfff == ${MARK} return
    ip daddr ${SERVER_IP} tcp dport { ${IPERF_PORT}, ${HTTP_PORT} } redirect to :15001
  }
}
`;

/** Starts `command` beside the fabric's hosts; resolves when both pods are captured. */
export async function startOneNode(
  name: string,
  fabric: Fabric,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  mesh: MeshOptions,
): Promise<RunningPeer> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), `ambit-load-${name}-node-`));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const netns = `ambit-load-${process.pid}-${name}-node`;
  await run('ip', ['netns', 'add', netns]);
  stack.defer(async () => void (await tryRun('ip', ['netns', 'del', netns])));
  await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  const file = join(folder, 'mesh.yaml');
  writeFileSync(file, meshFile({ ...mesh, nodeOf: () => NODE }));
  const agent = stack.use(new NodeAgent());
  const authority = await startAuthority((words) => ['ip', 'netns', 'exec', netns, ...words], folder);
  stack.defer(() => authority.stop());
  const proxy = background('ip', ['netns', 'exec', netns, ...command, 'proxy', 'ztunnel'], {
    XDS_ADDRESS: '',
    ...authority.env,
    PROXY_MODE: 'shared',
    NODE_NAME: NODE,
    INPOD_UDS: agent.path,
    LOCAL_XDS_PATH: file,
    ENABLE_ORIG_SRC: 'false',
    IPV6_ENABLED: 'false',
    ZTUNNEL_WORKER_THREADS: '2',
    RUST_LOG: 'warn,access=off',
    DNS_CAPTURE: 'false',
    ISTIO_META_DNS_CAPTURE: 'false',
    ...env,
  });
  stack.defer(() => proxy.stop());
  try {
    await capture(fabric, agent);
    await ready(netns);
  } catch (error) {
    throw new Error(`${command[0]} for two pods of one node:\n${proxy.output().slice(-2000)}`, { cause: error });
  }
  const kept = stack.move();
  return {
    doors: { iperf: { host: SERVER_IP, port: IPERF_PORT }, http: { host: SERVER_IP, port: HTTP_PORT } },
    pids: [proxy.process.pid!],
    output: proxy.output,
    stop: () => kept.disposeAsync(),
  };
}

async function capture({ client, server }: Fabric, agent: NodeAgent): Promise<void> {
  const hosts: Readonly<Record<string, string>> = { client: client.netns, server: server.netns };
  await agent.announce(
    WORKLOADS.map(({ name }) => ({
      uid: `pod-${name}`,
      name,
      namespace: NAMESPACE,
      serviceAccount: name,
      netns: hosts[name]!,
    })),
  );
  const [nft, ...args] = client.inside(['nft', '-f', '-']);
  await run(nft, args, { input: CAPTURE });
}

async function ready(netns: string): Promise<void> {
  const probe = ['netns', 'exec', netns, 'curl', '-sf', '-m', '1', 'http://127.0.0.1:15021/healthz/ready'];
  await eventually('the proxy to be ready', async () => (await tryRun('ip', probe)).status === 0, { withinMs: 20_000 });
}
