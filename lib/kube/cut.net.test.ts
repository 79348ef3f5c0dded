// SPDX-License-Identifier: Apache-2.0
// A real cut between a client and a server, on a network of the test's own.
import { equal, notEqual, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { endUnacknowledged } from '#lib/linux/unacknowledged.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { until } from '#lib/testkit/until.ts';
import { Island } from '../../e2e/harness/island.ts';
import { KubeConfigTransport, loadKubeConfig } from './transport.ts';

/** Says on which connection each request came, and keeps connections for long. */
const SERVER = `
  let count = 0;
  const server = require('node:http').createServer((request, answer) => answer.end(String(request.socket.number)));
  server.keepAliveTimeout = 600_000;
  server.on('connection', (socket) => { socket.number = ++count; });
  server.listen(8080, '0.0.0.0', () => console.log('up'));
`;
/** Far longer than any machine needs for the rest of the test. */
const PATIENCE_MS = 300_000;

test('a request sent on a dead link fails long before its own time-out, and the next one finds the way', async () => {
  using network = new PodNetwork(`10.214.${process.pid % 250}`);
  network.joinHost();
  const island = new Island(network, 'api');
  const [command, ...words] = island.words;
  const server = spawn(command!, [...words, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const text = JSON.stringify({
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server: `http://${island.host}:8080` } }],
    users: [{ name: 'test', user: {} }],
  });
  const transport = new KubeConfigTransport(loadKubeConfig({ text }), (socket) => endUnacknowledged(socket, 1_000));
  const ask = async (): Promise<string> =>
    (await transport.send({ method: 'GET', path: '/', timeoutMs: PATIENCE_MS })).text();
  try {
    await once(server.stdout!, 'data');
    await ask();
    let last = '';
    await until('a connection that is kept', async () => {
      const before = last;
      last = await ask();
      return last === before;
    });
    await island.cut();
    const began = performance.now();
    // On the connection that there is; a new one would fail for another reason.
    await rejects(ask(), { code: 'KUBE_UNREACHABLE', message: /ETIMEDOUT/ });
    equal(performance.now() - began < PATIENCE_MS / 2, true);
    await island.join();
    notEqual(await ask(), last);
  } finally {
    server.kill('SIGKILL');
    await transport.close();
  }
});
