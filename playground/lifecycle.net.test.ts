// SPDX-License-Identifier: Apache-2.0
// A playground comes, breaks, mends and goes, and nothing is left of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectKube } from '#lib/kube/connect.ts';
import { NODE } from '#lib/kube/kind.ts';
import { askControl } from './cluster/control.ts';
import { run, tryRun } from './fabric/command.ts';
import { POD } from './kubelet/pod.ts';
import { readRecord, statePaths } from './state.ts';
import { clusterStatus, enterNode } from './status.ts';
import { eventually, isReady, TestCluster, testConfig } from './testing.ts';
import { down, up } from './up.ts';

const NOBODY = 65_534;

/** Everything on this machine that carries the cluster's state folder in its name. */
function remains(stateRoot: string, group: string | undefined): string[] {
  const processes = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(stateRoot);
    } catch {
      return false;
    }
  });
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(stateRoot));
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...mounts.map((line) => `mount ${line}`),
    ...(group !== undefined && existsSync(group) ? [`group ${group}`] : []),
    ...(existsSync(stateRoot) ? readdirSync(stateRoot).map((name) => `file ${name}`) : []),
  ];
}

test('down leaves no process, mount, control group or file', async () => {
  await using cluster = await TestCluster.up();
  const { stateRoot, name } = cluster.config;
  const group = readRecord(statePaths(stateRoot, name))?.group;
  await cluster.pod('p', 'while :; do sleep 0.1; done');
  await cluster.until('p', 'the pod to run', isReady);
  assert.equal(await down(stateRoot, name), true);
  assert.deepEqual(await eventually('nothing to be left', () => remains(stateRoot, group).length === 0 && []), []);
  assert.equal(await down(stateRoot, name), false);
});

test('an up that is killed half-way leaves nothing', async () => {
  const stateRoot = mkdtempSync(join(tmpdir(), 'ambit-test-'));
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, 'up', '--no-mesh', '--name', 'killed'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, AMBIT_PLAYGROUND_DIR: stateRoot },
    },
  );
  await new Promise<void>((resolve) =>
    child.stdout.setEncoding('utf8').on('data', (text: string) => text.includes('fabric built') && resolve()),
  );
  const group = readRecord(statePaths(stateRoot, 'killed'))?.group;
  child.kill('SIGKILL');
  await eventually('nothing to be left', () => remains(stateRoot, group).length === 0);
  rmSync(stateRoot, { recursive: true, force: true });
});

test('a keeper that is killed takes the cluster along, and the next up starts clean', async () => {
  await using cluster = await TestCluster.up(1);
  const { stateRoot, name } = cluster.config;
  const record = readRecord(statePaths(stateRoot, name))!;
  process.kill(record.keeperPid, 'SIGKILL');
  await eventually(
    'the processes to end',
    () => !remains(stateRoot, undefined).some((what) => what.startsWith('process')),
  );
  await up(cluster.config, () => undefined);
  assert.notEqual(readRecord(statePaths(stateRoot, name))?.keeperPid, record.keeperPid);
  assert.equal(record.group !== undefined && existsSync(record.group), false);
});

test('an ordinary user has a playground too, and a node agent finds pods in it', async () => {
  const stateRoot = mkdtempSync(join(tmpdir(), 'ambit-test-'));
  // Apart, since programs write it when they end.
  const cache = mkdtempSync(join(tmpdir(), 'ambit-cache-'));
  for (const folder of [stateRoot, cache]) chownSync(folder, NOBODY, NOBODY);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: stateRoot,
    AMBIT_PLAYGROUND_DIR: join(stateRoot, 's'),
    NODE_COMPILE_CACHE: cache,
  };
  const playground = (verb: string, ...words: string[]): Promise<string> =>
    run(
      'setpriv',
      [
        ...[
          `--reuid=${NOBODY}`,
          `--regid=${NOBODY}`,
          '--clear-groups',
          process.execPath,
          '--disable-warning=ExperimentalWarning',
        ],
        ...[join(import.meta.dirname, 'main.ts'), verb, '--name', 'user', ...words],
      ],
      { env, timeoutMs: 300_000 },
    );
  try {
    await playground('up', '--no-mesh', '--nodes', '1');
    const { kubeconfig } = JSON.parse(await playground('status', '-o', 'json')) as { kubeconfig: string };
    const client = connectKube({ kubeconfig });
    const pods = (await client.list(POD)).items;
    assert.deepEqual(pods.map(isReady), [true]);
    const seen = await playground('node', 'node-1', '--', 'sh', '-c', 'cat /proc/[0-9]*/cgroup');
    assert.match(seen, new RegExp(`/pod${pods[0]!.metadata.uid}/[0-9a-f]{64}\n`));
    await client.close();
  } finally {
    await playground('down');
    rmSync(stateRoot, { recursive: true, force: true });
  }
  await eventually('nothing to be left', () => remains(stateRoot, undefined).length === 0);
  rmSync(cache, { recursive: true, force: true });
});

test('a second up of the same name is refused while the first runs', async () => {
  await using cluster = await TestCluster.up(1);
  await assert.rejects(
    up(cluster.config, () => undefined),
    /a playground named test-\d+ is running/,
  );
});

test('a node that is rebooted comes back with its pods, restarted and counted', async () => {
  await using cluster = await TestCluster.up(2);
  const paths = statePaths(cluster.config.stateRoot, cluster.config.name);
  await cluster.pod('stays', 'trap "exit 0" TERM; while :; do sleep 0.1; done', {
    spec: { restartPolicy: 'Always', nodeSelector: { 'kubernetes.io/hostname': 'node-2' } } as object,
  });
  const before = await cluster.until('stays', 'the pod to run', isReady);
  const record = readRecord(paths)!;
  const netns = (await clusterStatus(paths, record)).nodes[1]!.netns;
  await askControl(paths.control, 'POST', '/break', { kind: 'reboot', node: 'node-2' });
  const after = await cluster.until('stays', 'the pod to run again', (pod) => {
    const status = pod.status?.containerStatuses?.[0];
    return isReady(pod) && status?.containerID !== before.status?.containerStatuses?.[0]?.containerID;
  });
  assert.equal(after.status?.containerStatuses?.[0]?.restartCount, 1);
  assert.notEqual((await clusterStatus(paths, record)).nodes[1]!.netns, netns);
});

test('a node whose program dies is booted again by itself', async () => {
  await using cluster = await TestCluster.up(1);
  const paths = statePaths(cluster.config.stateRoot, cluster.config.name);
  const record = readRecord(paths)!;
  const netns = async (): Promise<string> => (await clusterStatus(paths, record)).nodes[0]!.netns;
  const before = await netns();
  const [enter, ...words] = await enterNode(paths, record, 'node-1', [
    'sh',
    '-c',
    'kill -9 $(grep -lx kubelet /proc/[0-9]*/comm | cut -d/ -f3)',
  ]);
  await tryRun(enter!, words);
  const after = await eventually('another machine', async () => {
    const now = await netns();
    return now !== '' && now !== before && now;
  });
  assert.notEqual(after, before);
  await cluster.pod('later', 'true');
  await cluster.until('later', 'a pod to run on it', (pod) => pod.status?.phase === 'Succeeded');
});

test('a link can be cut, slowed and made whole again', async () => {
  await using cluster = await TestCluster.up(2);
  const paths = statePaths(cluster.config.stateRoot, cluster.config.name);
  const record = readRecord(paths)!;
  const { nodes } = await clusterStatus(paths, record);
  const address = nodes[1]!.addresses[0]!;
  const reach = async (withinMs = 20_000): Promise<boolean> => {
    const script = `const s = require('node:net').connect(10250, '${address}', () => process.exit(0)); s.on('error', () => process.exit(1)); setTimeout(() => process.exit(2), ${withinMs})`;
    return (await tryRun('nsenter', [`--net=${nodes[0]!.netns}`, process.execPath, '-e', script])).status === 0;
  };
  const cause = (fault: object): Promise<unknown> => askControl(paths.control, 'POST', '/break', fault);
  assert.equal(await reach(), true);
  await cause({ kind: 'cut', node: 'node-2' });
  assert.equal(await reach(500), false);
  await cause({ kind: 'join', node: 'node-2' });
  await eventually('the link to be whole', () => reach());
  await cause({ kind: 'slow', node: 'node-2', rate: '5mbit' });
  assert.equal(await reach(), true);
  await assert.rejects(cause({ kind: 'slow', node: 'node-2', rate: 'fast' }), /rate "fast" is not understood/);
  await assert.rejects(cause({ kind: 'cut', node: 'node-9' }), /there is no node node-9/);
});

test('a program that is killed comes back: the API server with everything it knew', async () => {
  await using cluster = await TestCluster.up(1);
  const paths = statePaths(cluster.config.stateRoot, cluster.config.name);
  await cluster.pod('kept', 'while :; do sleep 0.1; done');
  await cluster.until('kept', 'the pod to run', isReady);
  await askControl(paths.control, 'POST', '/break', { kind: 'kill', target: 'api' });
  const pod = await eventually('the API server to answer again', () =>
    cluster.client.get(POD, { namespace: 'default', name: 'kept' }).catch(() => undefined),
  );
  assert.equal(pod.status?.containerStatuses?.[0]?.restartCount, 0);
  await askControl(paths.control, 'POST', '/break', { kind: 'kill', target: 'kept' });
  await cluster.until('kept', 'the pod to fail', (seen) => seen.status?.phase === 'Failed');
});

test('another API server can stand in for the embedded one, and reaches into pods', async () => {
  const stateRoot = mkdtempSync(join(tmpdir(), 'ambit-test-'));
  const data = join(stateRoot, 'outside');
  const { network } = statePaths(stateRoot, 'borrowed');
  const main = join(import.meta.dirname, 'api/main.ts');
  const api = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      main,
      '--data',
      data,
      '--listen',
      '127.0.0.1:0',
      '--cluster-network',
      network,
    ],
    {
      stdio: 'ignore',
    },
  );
  try {
    const kubeconfig = await eventually(
      'its kubeconfig',
      () => existsSync(join(data, 'kubeconfig')) && join(data, 'kubeconfig'),
    );
    const config = { ...testConfig(stateRoot, 'borrowed', 1), kubeconfig };
    await up(config, () => undefined);
    const client = connectKube({ kubeconfig });
    assert.equal((await client.list(NODE)).items.length, 1);
    const [pod] = (await client.list(POD)).items;
    const log = await client.text(`/api/v1/namespaces/kube-system/pods/${pod?.metadata.name}/log`);
    assert.match(log, /serving/);
    await down(stateRoot, 'borrowed');
    await client.close();
  } finally {
    await down(stateRoot, 'borrowed');
    api.kill('SIGKILL');
    rmSync(stateRoot, { recursive: true, force: true });
  }
});
