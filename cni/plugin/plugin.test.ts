// SPDX-License-Identifier: Apache-2.0
// The plugin as the runtime runs it: a process, its environment and standard input; the agent and the API are servers here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { add } from './add.ts';
import { addEvent } from './agent-client.ts';
import { podOf, readConfig } from './config.ts';

let runDir: string;
let agent: Server | undefined;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'ambit-plugin-'));
});
afterEach(() => {
  agent?.close();
  agent = undefined;
  rmSync(runDir, { recursive: true, force: true });
});

const previous = { cniVersion: '1.0.0', ips: [{ address: '10.244.1.5/24', interface: 0, gateway: '10.244.1.1' }] };
const netconf = (more: object = {}) =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    type: 'istio-cni',
    cni_agent_run_dir: runDir,
    ambient_enabled: true,
    pod_namespace: 'istio-system',
    prevResult: previous,
    ...more,
  });

function execute(
  command: string,
  input: string,
  args = 'K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop',
): Promise<{ status: number; out: string }> {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'main.ts')],
      {
        env: { CNI_COMMAND: command, CNI_ARGS: args, CNI_NETNS: '/run/netns/x' },
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.once('close', (status) => resolve({ status: status ?? -1, out }));
    child.stdin.end(input);
  });
}

const world = (pod: object, namespace: object) => {
  const enrolled: string[] = [];
  return {
    enrolled,
    read: async (path: string) => ({ metadata: {}, ...(path.includes('/pods/') ? pod : namespace) }),
    enrol: async ({ name }: { name: string }) => {
      enrolled.push(name);
    },
  };
};
const config = () => {
  const read = readConfig(netconf());
  assert.ok(read.ok);
  return read.value;
};

test('a pod of a labelled namespace is enrolled before it starts, another is left alone', async () => {
  const labelled = world({}, { metadata: { labels: { 'istio.io/dataplane-mode': 'ambient' } } });
  assert.ok((await add(config(), { name: 'web', namespace: 'shop' }, labelled)).eligible);
  assert.deepEqual(labelled.enrolled, ['web']);
  const plain = world({}, {});
  assert.ok(!(await add(config(), { name: 'web', namespace: 'shop' }, plain)).eligible);
  assert.deepEqual(plain.enrolled, []);
});

test('an API that does not answer refuses the pod: nobody knows that it is outside the mesh', async () => {
  const { status, out } = await execute('ADD', netconf());
  assert.equal(status, 1);
  const error = JSON.parse(out) as { code: number; details: string };
  assert.equal(error.code, 100);
  assert.match(error.details, /istio-cni-kubeconfig/);
});

test('the agent’s own pods and excluded namespaces start without agent and API', async () => {
  const own = await execute('ADD', netconf(), 'K8S_POD_NAME=istio-cni-node-x;K8S_POD_NAMESPACE=istio-system');
  assert.deepEqual([own.status, JSON.parse(own.out)], [0, previous]);
  const excluded = await execute('ADD', netconf({ exclude_namespaces: ['shop'] }));
  assert.deepEqual([excluded.status, JSON.parse(excluded.out)], [0, previous]);
});

test('VERSION tells the versions, DEL succeeds, a bad configuration is refused with its field', async () => {
  assert.ok(
    (JSON.parse((await execute('VERSION', '')).out) as { supportedVersions: string[] }).supportedVersions.includes(
      '1.0.0',
    ),
  );
  assert.equal((await execute('DEL', netconf())).status, 0);
  const bad = await execute('ADD', netconf({ cni_agent_run_dir: '' }));
  assert.match((JSON.parse(bad.out) as { details: string }).details, /cni_agent_run_dir/);
});

test('the agent is told in the form that Istio’s agent reads', async () => {
  const event = JSON.parse(addEvent('/run/netns/x', { name: 'web', namespace: 'shop' }, config().addresses)) as object;
  assert.deepEqual(event, {
    Netns: '/run/netns/x',
    PodName: 'web',
    PodNamespace: 'shop',
    IPs: [{ Interface: 0, Address: { IP: '10.244.1.5', Mask: '////AA==' }, Gateway: '10.244.1.1' }],
  });
  assert.equal(podOf('IgnoreUnknown=1'), undefined);
});

test('an agent that refuses keeps the pod from starting, and its reason is told', async () => {
  const { enrol } = await import('./agent-client.ts');
  agent = createServer((_request, response) => response.writeHead(500).end('no ztunnel connection'));
  await new Promise<void>((resolve) => agent!.listen(join(runDir, 'pluginevent.sock'), resolve));
  await assert.rejects(enrol(runDir, '{}'), /no ztunnel connection/);
});
