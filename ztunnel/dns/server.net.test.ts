// SPDX-License-Identifier: Apache-2.0
// A pod's DNS questions, asked from inside its namespace of the data-plane process that serves it.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { decode, encode, type Packet } from 'dns-packet';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { udpReceive, udpSend } from '#lib/linux/message.ts';
import { udpBind } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { NodeProxy, TEST_SETTINGS } from '#lib/testkit/node-proxy.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { until } from '#lib/testkit/until.ts';

const arena = Arena.allocate(8192);
const LOCAL = Endpoint.parse('127.0.0.1', 15053)!;

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

async function setUp() {
  const network = new PodNetwork();
  const cart = network.pod('cart');
  const upstream = network.pod('upstream', { captured: false });
  const proxy = new NodeProxy(ca, {
    dns: { ...TEST_SETTINGS.dns, enabled: true, servers: [`${upstream.ip}:5353`] },
  });
  proxy.mesh.putWorkload(workload({ name: 'cart', namespace: 'shop', serviceAccount: 'cart', ips: [cart.ip] }));
  proxy.mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.96.0.7'], ports: { 80: 8080 } }));
  await proxy.settle();
  await proxy.addPod({ uid: 'u', name: 'cart', namespace: 'shop', serviceAccount: 'cart' }, cart.netns);
  return {
    cart,
    upstream,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.stop();
      network[Symbol.dispose]();
    },
  };
}

const question = (name: string, id = 7): Buffer =>
  encode({ type: 'query', id, flags: 0x100, questions: [{ type: 'A', name }] });

/** Asks from `fd` and waits for the answer; `meanwhile` runs between two looks. */
async function ask(fd: number, message: Buffer, meanwhile: () => void = () => {}): Promise<Packet> {
  message.copy(arena.bytes);
  assert.ok(udpSend(fd, arena, 0, message.length, LOCAL, undefined, false) > 0);
  const from = new Endpoint();
  const n = await until('a DNS answer', () => {
    meanwhile();
    const got = udpReceive(fd, arena, 0, 4096, from, new Endpoint());
    return got > 0 ? got : undefined;
  });
  return decode(arena.bytes.subarray(0, n));
}

test('a service of the mesh is answered under its short name', async () => {
  await using rig = await setUp();
  const fd = udpBind(Endpoint.parse('127.0.0.1', 0)!, { netns: rig.cart.netns.fd });
  const answer = await ask(fd, question('orders'));
  assert.deepEqual(
    answer.answers?.map((one) => (one.type === 'A' ? [one.name, one.data] : [])),
    [['orders', '10.96.0.7']],
  );
  close(fd);
});

test('other names are asked of the upstream resolver from the pod, marked, and its answer is passed on', async () => {
  await using rig = await setUp();
  const server = udpBind(Endpoint.parse(rig.upstream.ip, 5353)!, { netns: rig.upstream.netns.fd });
  const fd = udpBind(Endpoint.parse('127.0.0.1', 0)!, { netns: rig.cart.netns.fd });
  const asked: string[] = [];
  const answer = await ask(fd, question('example.com', 4242), () => {
    const from = new Endpoint();
    const n = udpReceive(server, arena, 0, 4096, from, new Endpoint());
    if (n <= 0) return;
    const query = decode(arena.bytes.subarray(0, n));
    asked.push(from.ip());
    const reply = encode({
      type: 'response',
      id: query.id ?? 0,
      questions: query.questions ?? [],
      answers: [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }],
    });
    reply.copy(arena.bytes);
    udpSend(server, arena, 0, reply.length, from, undefined, false);
  });
  assert.equal(answer.id, 4242);
  assert.equal(answer.answers?.[0]?.type === 'A' && answer.answers[0].data, '192.0.2.1');
  assert.deepEqual(asked, [rig.cart.ip]);
  await until('it is counted', () => rig.proxy.metric('istio_dns_upstream_requests_total') === 1);
  close(fd);
  close(server);
});

test('DNS is answered over TCP too', async () => {
  await using rig = await setUp();
  const loop = new Loop({ spin: false });
  const client = App.dial(loop, LOCAL, rig.cart.netns);
  const message = question('orders.shop');
  const framed = Buffer.alloc(2);
  framed.writeUInt16BE(message.length);
  client.send(Buffer.concat([framed, message]));
  await until('the answer', () => loop.turn(1) >= 0 && client.received > 2);
  const answer = decode(Buffer.concat(client.chunks).subarray(2));
  assert.equal(answer.answers?.length, 1);
  loop.dispose();
});
