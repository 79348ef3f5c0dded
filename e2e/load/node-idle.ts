// SPDX-License-Identifier: Apache-2.0
// What a node proxy costs that has nothing to do: 3,000 workloads known, 100 pods captured, no traffic. Memory is proportional, of all its
// processes. node e2e/load/node-idle.ts [WORKLOADS] [PODS]
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Table from 'cli-table3';
import { NodeAgent } from '#lib/testkit/node-agent.ts';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT, tryRun } from '../harness/run.ts';
import { cpuSeconds, familyOf, pssMb } from './usage.ts';

const WORKLOADS = Number(process.argv[2] ?? 3000);
const PODS = Number(process.argv[3] ?? 100);
/** Compilers and collectors end their work, certificates are fetched. */
const SETTLE_MS = 30_000;
const MEASURE_MS = 20_000;
const NAMESPACE = 'idle';
const prefix = `ambit-idle-${process.pid}`;

await using stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'ambit-idle-'));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));
const names = Array.from({ length: PODS }, (_, k) => `${prefix}-${k}`);
const home = `${prefix}-home`;
stack.defer(() => {
  for (const name of [...names, home]) execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
});
for (const name of [...names, home]) {
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
}
writeFileSync(join(folder, 'mesh.json'), JSON.stringify({ workloads: workloads(), policies: [], services: [] }));
const agent = stack.use(new NodeAgent());
const began = performance.now();
const proxy = background('ip', ['netns', 'exec', home, join(ROOT, 'bin/ztunnel'), 'proxy', 'ztunnel'], {
  ...{ NODE_NAME: 'node-0', INPOD_UDS: agent.path, FAKE_CA: 'true', XDS_ADDRESS: '', RUST_LOG: 'warn' },
  ...{ LOCAL_XDS_PATH: join(folder, 'mesh.json'), ZTUNNEL_WORKER_THREADS: '2' },
});
stack.defer(() => proxy.stop());
await agent.accept(60_000);
const known = performance.now() - began;
for (const [k, name] of names.entries()) {
  const fd = openSync(`/run/netns/${name}`, 'r');
  const refused = await agent.add(
    { uid: `u-${k}`, name: `pod-${k}`, namespace: NAMESPACE, serviceAccount: `sa-${k % 30}` },
    fd,
  );
  closeSync(fd);
  if (refused !== '') throw new Error(refused);
}
await agent.snapshot();
const url = 'http://127.0.0.1:15021/healthz/ready';
await eventually(
  'it is ready',
  async () => (await tryRun('ip', ['netns', 'exec', home, 'curl', '-sf', url])).status === 0,
);
await delay(SETTLE_MS);
const pids = familyOf([proxy.process.pid!]);
const before = cpuSeconds(pids);
await delay(MEASURE_MS);
const cpu = ((cpuSeconds(pids) - before) / (MEASURE_MS / 1000)) * 100;
const table = new Table({
  head: [`${WORKLOADS} workloads, ${PODS} pods, no traffic`, ''],
  style: { head: [], border: [] },
});
table.push(
  ['started, and the mesh known', `${(known / 1000).toFixed(1)} s`],
  [
    'memory of all processes',
    `${pssMb(pids).toFixed(0)} MB (${pids.map((pid) => pssMb([pid]).toFixed(0)).join(' + ')})`,
  ],
  ['processor', `${cpu.toFixed(2)} %`],
);
console.log(table.toString());

function workloads(): unknown[] {
  return Array.from({ length: WORKLOADS }, (_, k) => ({
    uid: `Kubernetes//Pod/${NAMESPACE}/pod-${k}`,
    ...{ name: `pod-${k}`, namespace: NAMESPACE, serviceAccount: `sa-${k % 30}`, node: `node-${Math.floor(k / PODS)}` },
    ...{
      network: '',
      protocol: 'HBONE',
      services: {},
      canonicalName: `app-${k % 300}`,
      workloadName: `app-${k % 300}`,
    },
    workloadIps: [`10.${100 + (k >> 16)}.${(k >> 8) & 255}.${k & 255}`],
  }));
}
