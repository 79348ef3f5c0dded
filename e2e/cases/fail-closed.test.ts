// SPDX-License-Identifier: Apache-2.0
// A pod that is enrolled while ztunnel is away has no way out: nothing leaves its interface, and it works again when
// ztunnel is back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { capture } from '../harness/capture.ts';
import { Cluster, type PodFacts } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { run } from '../harness/run.ts';

const PODS = `
apiVersion: v1
kind: Namespace
metadata:
  name: closed
---
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: closed
spec:
  nodeSelector: { kubernetes.io/hostname: node-1 }
  containers:
    - { name: client, image: ambit/shell:0.1, command: [sleep, "86400"] }
---
apiVersion: v1
kind: Pod
metadata:
  name: server
  namespace: closed
  labels: { app: server }
spec:
  nodeSelector: { kubernetes.io/hostname: node-2 }
  containers:
    - name: server
      image: ambit/samples:0.1
      args: [catalog]
      readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
`;
const NO_ZTUNNEL = '{"spec":{"template":{"spec":{"nodeSelector":{"ambit.dev/nowhere":"true"}}}}}';
const ZTUNNEL = '{"spec":{"template":{"spec":{"nodeSelector":{"ambit.dev/nowhere":null}}}}}';

let cluster: Cluster;
let server: PodFacts;

before(async () => {
  cluster = await Cluster.up({ name: `closed-${process.pid}` });
  await cluster.apply(PODS);
  const pods = await cluster.ready('closed', 2);
  server = pods.find(({ name }) => name === 'server')!;
});
after(async () => {
  await cluster?.down();
});

const patchZtunnel = (patch: string) =>
  cluster.kubectl('patch', 'daemonset', 'ztunnel', '-n', 'istio-system', '-p', patch);
const redirection = async () => (await cluster.pods('closed')).find(({ name }) => name === 'client')?.redirection;
const bracketed = (ip: string) => (ip.includes(':') ? `[${ip}]` : ip);
const curl = (ip: string, withinS = 20) =>
  cluster.exec(
    'closed',
    'client',
    'curl',
    '-s',
    '-f',
    '-m',
    String(withinS),
    '-o',
    '/dev/null',
    `http://${bracketed(ip)}:8080/items`,
  );
// Both transports of DNS, from a program that has no resolver between itself and the wire.
const ask = (transport: 'dgram' | 'tcp') =>
  cluster.exec(
    'closed',
    'client',
    process.execPath,
    '-e',
    transport === 'dgram'
      ? `const s=require('dgram').createSocket('udp4');s.send(Buffer.from('0102010000010000000000000773657276657273036f72670000010001','hex'),53,'10.96.0.10');setTimeout(()=>s.close(),1000)`
      : `const s=require('net').connect(53,'10.96.0.10',()=>s.write(Buffer.from('001d0102010000010000000000000773657276657273036f72670000010001','hex')));s.on('error',()=>{});setTimeout(()=>process.exit(),1000)`,
  );

/** The host's end of the client pod's interface, in its node's namespace. */
async function hostEnd(): Promise<string> {
  const { stdout } = await cluster.exec('closed', 'client', 'cat', '/sys/class/net/eth0/iflink');
  const links = JSON.parse(await run('nsenter', [`--net=${cluster.node('node-1').netns}`, 'ip', '-j', 'link'])) as {
    ifindex: number;
    ifname: string;
  }[];
  const link = links.find(({ ifindex }) => ifindex === Number(stdout.trim()));
  assert.ok(link, `no link ${stdout.trim()} on node-1`);
  return link.ifname;
}

test('a pod enrolled while ztunnel is down sends nothing, by TCP or DNS, IPv4 or IPv6, and works when ztunnel returns', async () => {
  for (const ip of server.ips) assert.equal((await curl(ip)).status, 0, `before: ${ip} is not reachable`);

  await patchZtunnel(NO_ZTUNNEL);
  await eventually('ztunnel to be gone', async () => (await cluster.pods('istio-system', 'app=ztunnel')).length === 0);
  await cluster.kubectl('label', 'namespace', 'closed', 'istio.io/dataplane-mode=ambient');
  await eventually('the pod to be marked as pending', async () => (await redirection()) === 'pending');

  const device = await hostEnd();
  const running = await capture(cluster.node('node-1').netns, device, 'tcp or udp');
  for (const ip of server.ips) assert.notEqual((await curl(ip, 2)).status, 0, `${ip} was reached without ztunnel`);
  await ask('dgram');
  await ask('tcp');
  const { packets } = await running.stop();
  const own = new Set((await cluster.pods('closed')).find(({ name }) => name === 'client')!.ips);
  assert.deepEqual(
    packets.filter(({ from }) => own.has(from)),
    [],
    'something left the pod',
  );

  await patchZtunnel(ZTUNNEL);
  await eventually('the pod to be enrolled', async () => (await redirection()) === 'enabled');
  for (const ip of server.ips) {
    await eventually(`${ip} to be reachable through ztunnel`, async () => (await curl(ip)).status === 0);
  }
});
