// SPDX-License-Identifier: Apache-2.0
// A pod's DNS questions, asked from inside its namespace of the data-plane process that serves it.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type DecodedPacket, decode, encode, type RecordType } from 'dns-packet';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { udpReceive, udpSend } from '#lib/linux/message.ts';
import { udpBind } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { DnsTable, serveDnsInPod } from '#lib/testkit/dns-upstream.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { NodeProxy, TEST_SETTINGS } from '#lib/testkit/node-proxy.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { until, untilOn } from '#lib/testkit/until.ts';

const arena = Arena.allocate(8192);
const LOCAL = Endpoint.parse('127.0.0.1', 15053)!;
const LOCAL6 = Endpoint.parse('::1', 15053)!;

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

interface Ask {
  readonly type?: RecordType;
  readonly id?: number;
  readonly at?: Endpoint;
  /** EDNS payload size; none without it. */
  readonly edns?: number;
}

const question = (name: string, { type = 'A', id = 7, edns }: Ask = {}): Buffer =>
  encode({
    type: 'query',
    id,
    flags: 0x100,
    questions: [{ type, name }],
    additionals:
      edns === undefined
        ? []
        : [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: edns,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
  });

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

async function setUp({ known = true, v6 = false, servers = 1, tryMs = TEST_SETTINGS.dns.tryMs } = {}) {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const cart = network.pod('cart');
  const upstream = network.pod('upstream', { captured: false });
  const place = v6 ? `[${upstream.ip6}]:5353` : `${upstream.ip}:5353`;
  const list = servers === 1 ? [place] : [`${upstream.ip}:5399`, place];
  const proxy = new NodeProxy(ca, { dns: { ...TEST_SETTINGS.dns, enabled: true, servers: list, tryMs } });
  const record = workload({ name: 'cart', namespace: 'shop', serviceAccount: 'cart', ips: [cart.ip] });
  if (known) proxy.mesh.putWorkload(record);
  proxy.mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.96.0.7'], ports: { 80: 8080 } }));
  proxy.mesh.putService(
    service({ name: 'api', namespace: 'shop', hostname: 'api.example.org', vips: ['240.0.0.9', 'fd00::9'] }),
  );
  proxy.mesh.putService(
    service({
      name: 'many',
      namespace: 'shop',
      vips: Array.from({ length: 60 }, (_, i) => `10.96.1.${i + 1}`),
    }),
  );
  proxy.mesh.putService(service({ name: 'ring', namespace: 'shop', vips: [] }));
  for (const [name, ip, healthy] of [
    ['ring-0', '10.244.0.1', true],
    ['ring-1', '10.244.0.2', true],
    ['ring-2', '10.244.0.3', false],
  ] as const) {
    const serves = { 'shop/ring.shop.svc.cluster.local': {} };
    proxy.mesh.putWorkload(workload({ name, namespace: 'shop', ips: [ip], healthy, serves }));
  }
  await proxy.settle();
  await proxy.addPod({ uid: 'u', name: 'cart', namespace: 'shop', serviceAccount: 'cart' }, cart.netns);
  const table = new DnsTable();
  const clients = serveDnsInPod(loop, upstream, v6 ? upstream.ip6 : upstream.ip, 5353, table);
  return {
    cart,
    record,
    table,
    clients,
    proxy,
    loop,
    /** Asks by UDP and waits for the answer. */
    async ask(name: string, more: Ask = {}): Promise<DecodedPacket> {
      const { at = LOCAL } = more;
      const from = Endpoint.parse(at.isV4 ? '127.0.0.1' : '::1', 0)!;
      const fd = udpBind(from, { netns: cart.netns.fd });
      try {
        const message = question(name, more);
        message.copy(arena.bytes);
        assert.ok(udpSend(fd, arena, 0, message.length, at, undefined, !at.isV4) > 0);
        const n = await untilOn(loop)(`an answer for ${name}`, () => {
          const got = udpReceive(fd, arena, 0, 4096, new Endpoint(), new Endpoint());
          return got > 0 ? got : undefined;
        });
        return decode(Buffer.from(arena.bytes.subarray(0, n)));
      } finally {
        close(fd);
      }
    },
    until: untilOn(loop),
    async [Symbol.asyncDispose]() {
      loop.dispose();
      await proxy.stop();
      network[Symbol.dispose]();
    },
  };
}

const data = ({ answers = [] }: DecodedPacket): unknown[] =>
  answers.map((one) => ('data' in one ? [one.type, one.name, one.data] : [one.type]));
const rcode = (answer: DecodedPacket): number => (answer.flags ?? 0) & 15;

test('a service of the mesh is answered under its short name, with authority and 30 s to live', async () => {
  await using rig = await setUp();
  const answer = await rig.ask('orders');
  assert.deepEqual(data(answer), [['A', 'orders', '10.96.0.7']]);
  assert.equal(answer.answers?.[0]?.type === 'A' && answer.answers[0].ttl, 30);
  assert.deepEqual([answer.flag_aa, answer.flag_ra, rcode(answer)], [true, true, 0]);
  const v6 = await rig.ask('orders.shop.svc', { at: LOCAL6 });
  assert.deepEqual(data(v6), [['A', 'orders.shop.svc', '10.96.0.7']]);
  assert.deepEqual(data(await rig.ask('api.example.org', { type: 'AAAA' })), [['AAAA', 'api.example.org', 'fd00::9']]);
  assert.deepEqual(rig.table.asked, []);
});

test('at debug level every question is told with who asked, what, and what came of it', async () => {
  await using rig = await setUp();
  for (const [name, type] of [
    ['orders', 'A'],
    ['orders', 'AAAA'],
    ['nowhere.example', 'A'],
  ] as const) {
    await rig.ask(name, { type });
  }
  const told = () =>
    rig.proxy.messages
      .map((line) => JSON.parse(line) as { scope: string; fields: Record<string, string> })
      .filter(({ scope }) => scope === 'dns');
  await until('all are told', () => told().length === 3);
  assert.deepEqual(told()[0], {
    level: 'debug',
    scope: 'dns',
    message: 'dns request',
    fields: {
      'src.workload': 'cart',
      'src.namespace': 'shop',
      query: 'A',
      domain: 'orders',
      result: 'success',
      endpoints: '10.96.0.7',
    },
  });
  assert.deepEqual(
    told().map(({ fields }) => fields['result']),
    ['success', 'no records', 'forwarded'],
  );
});

test('a family the service lacks is an empty answer, not a missing name', async () => {
  await using rig = await setUp();
  const answer = await rig.ask('orders', { type: 'AAAA' });
  assert.deepEqual([data(answer), rcode(answer), answer.flag_aa], [[], 0, true]);
});

test('an external host found by the search list is an alias of its own name', async () => {
  await using rig = await setUp();
  assert.deepEqual(data(await rig.ask('api.example.org.shop.svc.cluster.local')), [
    ['CNAME', 'api.example.org.shop.svc.cluster.local', 'api.example.org'],
    ['A', 'api.example.org', '240.0.0.9'],
  ]);
});

test('a headless service is its ready endpoints', async () => {
  await using rig = await setUp();
  const names = data(await rig.ask('ring')).map((one) => (one as string[])[2]);
  assert.deepEqual(names.sort(), ['10.244.0.1', '10.244.0.2']);
});

test('an answer too long for a datagram says so, and comes whole by TCP', async () => {
  await using rig = await setUp();
  const cut = await rig.ask('many');
  assert.equal(cut.flag_tc, true);
  assert.ok(data(cut).length < 60);
  const more = await rig.ask('many', { edns: 1232 });
  assert.equal(more.additionals?.[0]?.type, 'OPT');
  assert.ok(data(more).length > data(cut).length);
  const client = App.dial(rig.loop, LOCAL, rig.cart.netns);
  client.send(framed(question('many')));
  client.finish();
  await rig.until('all of it, and the end', () => client.end === 'fin');
  assert.equal(data(decode(Buffer.concat(client.chunks).subarray(2))).length, 60);
});

test('one TCP connection may ask many questions, forwarded ones among them, over IPv6 too', async () => {
  await using rig = await setUp();
  rig.table.names.set('example.com', [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }]);
  const client = App.dial(rig.loop, LOCAL6, rig.cart.netns);
  client.send(Buffer.concat([1, 2, 3].map((id) => framed(question(id === 2 ? 'example.com' : 'orders', { id })))));
  client.finish();
  await rig.until('it ends', () => client.end === 'fin');
  const ids: (number | undefined)[] = [];
  for (let rest = Buffer.concat(client.chunks); rest.length > 0; ) {
    const end = 2 + rest.readUInt16BE(0);
    const answer = decode(rest.subarray(2, end));
    ids.push(answer.id);
    assert.equal(answer.answers?.length, 1);
    rest = rest.subarray(end);
  }
  assert.deepEqual(ids.sort(), [1, 2, 3]);
});

test('other names, and other types of names we know, are asked on from the pod, and what comes back is passed on', async () => {
  await using rig = await setUp();
  rig.table.names.set('example.com', [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }]);
  rig.table.names.set('api.example.org', [{ type: 'TXT', name: 'api.example.org', ttl: 9, data: 'text' }]);
  const answer = await rig.ask('example.com', { id: 4242 });
  assert.equal(answer.id, 4242);
  assert.deepEqual([data(answer), answer.flag_aa], [[['A', 'example.com', '192.0.2.1']], false]);
  assert.equal((await rig.ask('api.example.org', { type: 'TXT' })).answers?.length, 1);
  const missing = await rig.ask('nowhere.example.com');
  assert.equal(rcode(missing), 3);
  assert.deepEqual(rig.clients, [rig.cart.ip, rig.cart.ip, rig.cart.ip]);
  await until('they are counted', () => rig.proxy.metric('istio_dns_upstream_requests_total') === 3);
  assert.equal(rig.proxy.metric('istio_dns_requests_total', 'request_query_type="a"'), 2);
});

test('a reply that was cut is asked for again by TCP when the client takes it whole', async () => {
  await using rig = await setUp();
  rig.table.names.set('example.com', [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }]);
  rig.table.truncates = true;
  assert.equal((await rig.ask('example.com')).flag_tc, true);
  const client = App.dial(rig.loop, LOCAL, rig.cart.netns);
  client.send(framed(question('example.com')));
  await rig.until('the whole answer', () => client.received > 2);
  assert.equal(decode(Buffer.concat(client.chunks).subarray(2)).answers?.length, 1);
  assert.deepEqual(rig.table.asked, ['example.com A udp', 'example.com A udp', 'example.com A tcp']);
  await until('it is counted', () => rig.proxy.metric('ambit_dns_fallbacks_total', 'tcp') === 1);
});

test('a resolver that does not answer is a server failure while the client still waits, and is counted', async () => {
  await using rig = await setUp({ tryMs: 200 });
  rig.table.silent = true;
  const answer = await rig.ask('example.com');
  assert.equal(rcode(answer), 2);
  await rig.until('each try to arrive', () => rig.table.asked.length === 3);
  await until('it is counted', () => rig.proxy.metric('istio_dns_upstream_failures_total') === 1);
  assert.equal(rig.proxy.metric('ambit_dns_fallbacks_total', 'resolver'), 2);
});

test('a resolver that is not there is passed over at once', async () => {
  await using rig = await setUp({ servers: 2 });
  rig.table.names.set('example.com', [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }]);
  const begun = performance.now();
  assert.equal((await rig.ask('example.com')).answers?.length, 1);
  assert.ok(performance.now() - begun < TEST_SETTINGS.dns.tryMs, 'nobody waited for it');
  await until('it is counted', () => rig.proxy.metric('ambit_dns_fallbacks_total', 'resolver') === 1);
});

test('an IPv6 resolver is asked over IPv6', async () => {
  await using rig = await setUp({ v6: true });
  rig.table.names.set('example.com', [{ type: 'A', name: 'example.com', ttl: 9, data: '192.0.2.1' }]);
  assert.equal((await rig.ask('example.com')).answers?.length, 1);
});

test('a question that comes before the record of its pod waits for it', async () => {
  await using rig = await setUp({ known: false });
  const asking = rig.ask('orders');
  await new Promise((resolve) => setTimeout(resolve, 100));
  rig.proxy.mesh.putWorkload(rig.record);
  await rig.proxy.settle();
  assert.deepEqual(data(await asking), [['A', 'orders', '10.96.0.7']]);
});
