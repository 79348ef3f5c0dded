// SPDX-License-Identifier: Apache-2.0
// The whole program, started as its launcher starts it, each in a namespace of its own, with pods that a node agent announces.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { dumpPolicy, dumpWorkload } from '#lib/proxy/admin/dump.ts';
import { policy, workload } from '#lib/testkit/mesh.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { until, untilOn } from '#lib/testkit/until.ts';
import { Ztunnel } from '#lib/testkit/ztunnel.ts';

/** Whole programs start here, on machines that may be busy. */
const PATIENCE_MS = 60_000;
const REDIRECT = join(import.meta.dirname, '../manifests/standalone/redirect.nft');

/** Two nodes, `cart` on one and `orders` on the other, both captured. */
async function twoNodes(env: Readonly<Record<string, string>> = {}) {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const pods = { cart: network.pod('cart'), orders: network.pod('orders') };
  const record = (pod: TestPod, node: string): unknown => {
    const { services: _, ...dumped } = dumpWorkload(
      workload({ name: pod.name, namespace: 'shop', serviceAccount: pod.name, ips: [pod.ip, pod.ip6], node }),
    ) as Record<string, unknown>;
    return dumped;
  };
  const deny = policy({
    name: 'deny-cart',
    namespace: 'shop',
    scope: 'namespace',
    action: 'deny',
    rules: [[[{ principals: ['cluster.local/ns/shop/sa/cart'], destinationPorts: [9090] }]]],
  });
  const mesh = stringify({
    workloads: [record(pods.cart, 'one'), record(pods.orders, 'two')],
    policies: [dumpPolicy(deny)],
  });
  const start = (node: string): Ztunnel => {
    const home = network.pod(`home-${node}`, { captured: false });
    const common = { LOCAL_XDS: mesh, NODE_NAME: node, ZTUNNEL_WORKER_THREADS: '1', ISTIO_META_DNS_CAPTURE: 'false' };
    return new Ztunnel(loop, home, network.netnsName(home), { ...common, ...env });
  };
  const [one, two] = [start('one'), start('two')];
  const enrol = async (ztunnel: Ztunnel, pod: TestPod): Promise<void> => {
    await ztunnel.agent.accept(PATIENCE_MS);
    const info = { uid: `uid-${pod.name}`, name: pod.name, namespace: 'shop', serviceAccount: pod.name };
    assert.equal(await ztunnel.agent.add(info, pod.netns.fd), '', ztunnel.output);
    assert.equal(await ztunnel.agent.snapshot(), '');
    await until('it is ready', async () => (await ztunnel.get(15021, '/healthz/ready')) === 'ready\n');
  };
  const rig = {
    one,
    two,
    ...pods,
    network,
    record,
    loop,
    enrol: () => Promise.all([enrol(one, pods.cart), enrol(two, pods.orders)]),
    until: untilOn(loop),
    async [Symbol.asyncDispose]() {
      loop.dispose();
      await one[Symbol.asyncDispose]();
      await two[Symbol.asyncDispose]();
      network[Symbol.dispose]();
    },
  };
  return rig;
}

const at = (pod: TestPod, port: number): Endpoint => Endpoint.parse(pod.ip, port)!;

test('announced pods talk through a tunnel, and dump, metrics, log and explanation tell of it', async () => {
  await using rig = await twoNodes();
  await rig.enrol();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('welcome'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  client.send('hello');
  await rig.until('both hear each other', () => client.text === 'welcome' && server.connections[0]?.text === 'hello');
  assert.equal(server.connections[0]!.peerIp(), rig.cart.ip);

  const dump = await rig.one.dump();
  const cart = dump.workloadState['uid-cart'];
  assert.equal(cart?.state, 'Up');
  assert.deepEqual(
    cart.connections.outbound.map(({ actualDst, protocol }) => [actualDst, protocol]),
    [[`${rig.orders.ip}:15008`, 'HBONE']],
  );
  assert.deepEqual(
    dump.certificates.map(({ identity, state }) => [identity, state]),
    [['spiffe://cluster.local/ns/shop/sa/cart', 'Available']],
  );
  client.finish();
  server.connections[0]!.finish();
  await rig.until('the client sees the end', () => client.end === 'fin');
  await until('both log it', () => [rig.one, rig.two].every(({ output }) => output.includes('connection complete')));
  assert.match(rig.two.output, /src\.identity="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart".*direction="inbound"/);
  const counted = /istio_tcp_connections_closed_total\{reporter="destination",source_workload="cart".*\} 1\n/;
  const metrics = await until('it is counted', async () => {
    const text = await rig.two.get(15020, '/metrics');
    return counted.test(text) ? text : undefined;
  });
  assert.ok(metrics.endsWith('# EOF\n'));
  const explained = JSON.parse(await rig.two.get(15000, `/debug/explain?from=shop/cart&to=${rig.orders.ip}:9090`)) as {
    allowed: boolean;
    inbound: { verdict: { policy: string } };
  };
  assert.equal(explained.allowed, false);
  assert.equal(explained.inbound.verdict.policy, 'shop/deny-cart');
  server.close();
});

test('what explain says of a denied connection is what happens to it, and the log names the policy', async () => {
  await using rig = await twoNodes();
  await rig.enrol();
  const server = new AppServer(rig.loop, at(rig.orders, 9090), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 9090), rig.cart.netns);
  client.send('x');
  await rig.until('the client is cut off', () => client.end !== '');
  assert.equal(server.connections.length, 0);
  await until('the denial is logged', () => rig.two.output.includes('policy rejection'));
  assert.match(rig.two.output, /policy="shop\/deny-cart"/);
  server.close();
});

test('certificates are renewed again and again while one connection stays open', async () => {
  // Certificates begin two minutes before they are made: with this life they are past its half at once.
  await using rig = await twoNodes({ SECRET_TTL: '4s' });
  await rig.enrol();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  client.send('a');
  await rig.until('the server hears', () => server.connections[0]?.text === 'a');
  const serial = async (): Promise<string> => (await rig.one.dump()).certificates[0]!.certChain[0]!.serialNumber;
  const seen = new Set([await serial()]);
  await until('three certificates', async () => seen.add(await serial()).size >= 3);
  client.send('b');
  await rig.until('the connection still carries', () => server.connections[0]?.text === 'ab');
  const fresh = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  fresh.send('c');
  await rig.until('a new connection uses the new certificate', () => server.connections[1]?.text === 'c');
  server.close();
});

test('trap 24: a data-plane process that dies is replaced with its pods and certificates, and the log says what was cut', async () => {
  await using rig = await twoNodes();
  await rig.enrol();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const old = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it talks', () => old.text === 'hi');
  const [worker] = rig.two.workers();
  process.kill(worker!, 'SIGSEGV');
  await rig.until('the connection is cut', () => old.end === 'reset');
  await until('the log tells', () => rig.two.output.includes('how="SIGSEGV"'));
  assert.match(rig.two.output, /data-plane process ended unexpectedly.*cutConnections=1/);
  // Until the new process listens, connections are refused: dial until one is served.
  let talks = false;
  for (const end = performance.now() + PATIENCE_MS; !talks && performance.now() < end; ) {
    const fresh = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
    await rig.until('it is served or refused', () => fresh.text === 'hi' || fresh.end !== '');
    talks = fresh.text === 'hi';
  }
  assert.ok(talks, rig.two.output);
  assert.notDeepEqual(rig.two.workers(), [worker]);
  const dump = await rig.two.dump();
  assert.equal(dump.workloadState['uid-orders']?.state, 'Up');
  assert.equal(await rig.two.get(15021, '/healthz/ready'), 'ready\n');
  server.close();
});

test('SIGTERM drains: open connections end at the deadline, the exit code is 0, and the pods are let go', async () => {
  await using rig = await twoNodes({ CONNECTION_TERMINATION_DEADLINE: '1s' });
  await rig.enrol();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  client.send('a');
  await rig.until('the server hears', () => server.connections[0]?.text === 'a');
  const begun = performance.now();
  const ended = rig.one.end();
  await rig.until('the client is cut at the deadline', () => client.end !== '');
  assert.ok(performance.now() - begun > 500);
  assert.equal(await ended, 0, rig.one.output);
  await until('the log is out', () => rig.one.output.includes('draining'));
  assert.match(rig.one.output, /connection closed due to connection drain/);
  server.close();
});

test('a proxy for one workload outside Kubernetes: mesh and certificate from files, CONNECT, and redirection', async () => {
  await using rig = await twoNodes();
  await rig.enrol();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-vm-'));
  const vm = rig.network.pod('vm', { captured: false });
  const identity = 'spiffe://cluster.local/ns/shop/sa/vm';
  const keys = await generateKey();
  const authority = await createTestAuthority();
  const [chain, root] = await authority.sign(
    { publicKey: keys.publicKey, uris: [identity], ttlMs: 60_000 },
    Date.now(),
  );
  for (const [name, text] of Object.entries({
    'cert-chain.pem': chain!,
    'root-cert.pem': root!,
    'key.pem': await keyToPem(keys.privateKey),
    'mesh.yaml': stringify({ workloads: [rig.record(vm, 'vm'), rig.record(rig.orders, 'two')] }),
  }))
    writeFileSync(join(folder, name), text);
  try {
    await using ztunnel = new Ztunnel(rig.loop, vm, rig.network.netnsName(vm), {
      ...{ PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'shop/vm/vm', NODE_NAME: 'vm', FAKE_CA: 'false' },
      ...{ AMBIT_CERT_DIR: folder, LOCAL_XDS_PATH: join(folder, 'mesh.yaml'), UNSTABLE_ENABLE_SOCKS5: 'true' },
      ...{ ZTUNNEL_WORKER_THREADS: '1', ISTIO_META_DNS_CAPTURE: 'false', PACKET_MARK: '1337' },
    });
    await until('it is ready', async () => (await ztunnel.get(15021, '/healthz/ready')) === 'ready\n');
    const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('welcome'), rig.orders.netns);
    const client = App.dial(rig.loop, Endpoint.parse('127.0.0.1', 15080)!, vm.netns);
    client.send(`CONNECT ${rig.orders.ip}:8080 HTTP/1.1\r\n\r\n`);
    await rig.until('it is served', () => client.text.endsWith('welcome'));
    client.socket.abort();
    await rig.until('the server’s node knows who came', () => rig.two.output.includes(`src.identity="${identity}"`));
    // With the rules that come with it, applications need to know nothing.
    execFileSync('ip', ['netns', 'exec', rig.network.netnsName(vm), 'nft', '-f', REDIRECT]);
    const unaware = App.dial(rig.loop, at(rig.orders, 8080), vm.netns);
    await rig.until('it is served', () => unaware.text === 'welcome');
    const [line] = (await ztunnel.dump()).certificates;
    assert.equal(line!.identity, identity);
    unaware.socket.abort();
    await rig.until(
      'it went through the tunnel, too',
      () => rig.two.output.split(`src.identity="${identity}"`).length === 3,
    );
    server.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('SIGTERM with nothing open ends at once', async () => {
  await using rig = await twoNodes({ CONNECTION_TERMINATION_DEADLINE: '300s' });
  await rig.enrol();
  const begun = performance.now();
  assert.equal(await rig.one.end(), 0);
  assert.ok(performance.now() - begun < 100_000, `${performance.now() - begun} ms`);
});
