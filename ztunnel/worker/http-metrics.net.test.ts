// SPDX-License-Identifier: Apache-2.0
// Requests counted by reading along, between real programs: curl and Node's servers, each in its pod.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { at, infoOf, recordOf, type TwoNodes, twoNodes } from '#lib/testkit/two-nodes.ts';
import { until } from '#lib/testkit/until.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const SERVERS = `
  const answer = (request, response) => request.resume().on('end', () => {
    response.writeHead(request.url === '/missing' ? 404 : 200);
    response.end(request.method + ' ' + 'x'.repeat(50000));
  });
  // However slow the machine is, nobody ends a connection that is used again, or the same request is sent twice.
  const patient = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 };
  require('node:http').createServer(patient, answer).listen(8080, () =>
    require('node:http2').createServer(answer).listen(8081, () => console.log('ready')));
`;

async function serversIn(network: PodNetwork, pod: TestPod): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', network.netnsName(pod), process.execPath, '-e', SERVERS], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return child;
}

/** What curl in that pod prints: `METHOD status octets` a line. */
async function curl(network: PodNetwork, pod: TestPod, ...args: readonly string[]): Promise<string> {
  const format = ['-s', '-o', '/dev/null', '-m', '100', '-w', '%{method} %{http_code} %{size_download}\\n'];
  const all = ['netns', 'exec', network.netnsName(pod), 'curl', ...format, ...args];
  return (await promisify(execFile)('ip', all)).stdout.trim();
}

const requests = (proxy: NodeProxy, ...labels: readonly string[]): number =>
  proxy.metric('ambit_http_requests_total{', ...labels);

/** Both pods' records, asking for metrics or not. */
async function label({ cart, one, orders, two }: TwoNodes, ofCart: boolean, ofOrders: boolean): Promise<void> {
  for (const proxy of [one, two]) {
    proxy.mesh.putWorkload(recordOf(cart, 'one', { httpMetrics: ofCart }));
    proxy.mesh.putWorkload(recordOf(orders, 'two', { httpMetrics: ofOrders }));
    await proxy.settle();
  }
}

test('requests of HTTP/1.1 and HTTP/2 are counted at both ends, by method and class of status, and pass unchanged', async () => {
  await using rig = await twoNodes(ca);
  await label(rig, true, true);
  const servers = await serversIn(rig.network, rig.orders);
  try {
    const [first, second] = [`http://${rig.orders.ip}:8080`, `http://${rig.orders.ip}:8081`];
    const ask = (...args: readonly string[]) => curl(rig.network, rig.cart, ...args);
    // Three on one connection: curl keeps it.
    assert.equal(
      await ask(`${first}/`, '-o', '/dev/null', `${first}/missing`, '-o', '/dev/null', `${first}/`),
      'GET 200 50004\nGET 404 50004\nGET 200 50004',
    );
    assert.equal(await ask('-d', 'x'.repeat(5000), `${first}/`), 'POST 200 50005');
    assert.equal(await ask('--http2-prior-knowledge', '-T', '/etc/services', `${second}/missing`), 'PUT 404 50004');
    for (const [proxy, reporter] of [
      [rig.one, 'reporter="source"'],
      [rig.two, 'reporter="destination"'],
    ] as const) {
      await until('all are counted', () => requests(proxy, reporter) === 5);
      const count = (...labels: readonly string[]) =>
        requests(proxy, reporter, 'destination_workload="orders"', ...labels);
      assert.equal(count('method="GET"', 'status_class="2xx"', 'protocol="http/1.1"'), 2);
      assert.equal(count('method="GET"', 'status_class="4xx"'), 1);
      assert.equal(count('method="POST"', 'status_class="2xx"'), 1);
      assert.equal(count('method="PUT"', 'status_class="4xx"', 'protocol="h2"', 'source_workload="cart"'), 1);
      assert.equal(proxy.metric('ambit_http_request_duration_seconds_count', reporter), 5);
      assert.equal(proxy.metric('ambit_http_request_duration_seconds_bucket', 'le="+Inf"'), 5);
      assert.ok(proxy.metric('ambit_http_request_duration_seconds_sum') > 0);
      assert.equal(proxy.metric('ambit_http_unwatched_connections_total'), 0);
    }
  } finally {
    servers.kill();
  }
});

test('only ends whose namespace asks for it count, and what is no HTTP is given up and says so', async () => {
  await using rig = await twoNodes(ca);
  await label(rig, false, true);
  const servers = await serversIn(rig.network, rig.orders);
  try {
    assert.equal(await curl(rig.network, rig.cart, `http://${rig.orders.ip}:8080/`), 'GET 200 50004');
    await until('the destination counts', () => requests(rig.two) === 1);
    assert.equal(requests(rig.one), 0);
    const other = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
    other.send('SSH-2.0-none\r\n\r\n');
    await rig.until('it is told', () => rig.two.metric('ambit_http_unwatched', 'reason="not_http"') === 1);
    // The server's own answer to that comes through.
    await rig.until('it is answered', () => /^HTTP\/1\.1 400 /.test(other.text));
    assert.equal(rig.one.metric('ambit_http_unwatched_connections_total'), 0);
  } finally {
    servers.kill();
  }
});

test('between pods of one node each end counts, and none does without processor time or room for it', async () => {
  for (const [settings, reason] of [
    [{ mode: 'all', cpuShare: 1000, maxConnections: 2 }, ''],
    [{ mode: 'all', cpuShare: 0, maxConnections: 2 }, 'budget'],
    [{ mode: 'all', cpuShare: 1000, maxConnections: 0 }, 'full'],
    [{ mode: 'off', cpuShare: 1000, maxConnections: 2 }, 'off'],
  ] as const) {
    using network = new PodNetwork();
    await using proxy = new NodeProxy(ca, { nodeName: 'one', httpMetrics: settings });
    const [cart, orders] = [network.pod('cart'), network.pod('orders')];
    for (const pod of [cart, orders]) proxy.mesh.putWorkload(recordOf(pod, 'one'));
    await proxy.settle();
    for (const pod of [cart, orders]) await proxy.addPod(infoOf(pod), pod.netns);
    const servers = await serversIn(network, orders);
    try {
      assert.equal(await curl(network, cart, `http://${orders.ip}:8080/`), 'GET 200 50004');
      const unwatched = (): number => proxy.metric('ambit_http_unwatched_connections_total', `reason="${reason}"`);
      await until('both ends are logged', () => proxy.lines.length === 2);
      if (reason === 'off') assert.equal(proxy.metric('ambit_http_'), 0);
      else if (reason !== '') await until('it is told', () => unwatched() === 2);
      await until('what is counted', () => requests(proxy, 'status_class="2xx"') === (reason === '' ? 2 : 0));
    } finally {
      servers.kill();
    }
  }
});
