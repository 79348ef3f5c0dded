// SPDX-License-Identifier: Apache-2.0
// Policies of the proxy's own: those that have no effect, who a client is behind other proxies, and what lasts when policies change.
import assert from 'node:assert/strict';
import { createServer, request as httpRequest } from 'node:http';
import { createServer as createTcp, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, type TestConfig, WaypointProgram } from '#lib/testkit/waypoint.ts';

const sockets = new Set<Socket>();
const app = createServer((_request, response) => response.end('ok'));
app.on('upgrade', (_request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  socket.on('error', () => {});
});
const stream = createTcp((socket) => {
  socket.on('error', () => {});
  socket.write('hello\n');
});
let program: WaypointProgram;
let config: TestConfig;

function listen(server: Server): Promise<number> {
  server.on('connection', (socket: Socket) => sockets.add(socket));
  return listenAnywhere(server);
}

const under = (prefix: string): object => ({ paths: { any: [{ kind: 'KIND_PREFIX', value: prefix }] } });
const policy = (name: string, action: string, match: object, more: object = {}): object => ({
  name: `default/${name}`,
  action: `ACTION_${action}`,
  rules: [{ clauses: [{ matches: [match] }] }],
  ...more,
});

before(async () => {
  const [appPort, streamPort] = [await listen(app), await listen(stream)];
  config = {
    services: [
      { name: 'app', ports: [appPort] },
      { name: 'stream', ports: [streamPort] },
    ],
    routes: [{ rule: { backends: [backendOf('app')] } }],
    stream: 'stream',
    settings: { trustedProxies: 1 },
    more: {
      accessPolicies: [
        policy('watch', 'AUDIT', { http: under('/watched') }),
        policy('maybe', 'DENY', { http: under('/trial') }, { dryRun: true }),
        policy('from', 'DENY', { http: { ...under('/from'), remoteRanges: ['10.1.0.0/16'] } }),
      ],
    },
  };
  program = await WaypointProgram.start(config);
});
after(async () => {
  await program?.stop();
  for (const socket of sockets) socket.destroy();
  app.close();
  stream.close();
});

function ask(path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(program.url(path), { headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    request.on('error', reject).end();
  });
}

test('AUDIT and dry-run policies let requests pass, and stand in log and metrics', async () => {
  assert.equal(await ask('/watched'), 200);
  assert.equal(await ask('/trial'), 200);
  assert.equal((await program.record('/watched'))['audit'], 'default/watch');
  assert.equal((await program.record('/trial'))['dry_run'], 'deny default/maybe matched');
  await until('they are counted', async () => {
    const text = await program.metrics();
    return (
      /ambit_policy_audit_total\{policy="default\/watch"\} 1/.test(text) &&
      /ambit_policy_dry_run_total\{policy="default\/maybe",action="deny",matched="true"\} 1/.test(text)
    );
  });
});

test('who a client is behind a trusted proxy is what that proxy says, and not what the client says', async () => {
  assert.equal(await ask('/from'), 200);
  assert.equal(await ask('/from', { 'x-forwarded-for': '10.1.2.3' }), 403);
  assert.equal(await ask('/from', { 'x-forwarded-for': '10.1.2.3, 10.2.0.1' }), 200);
  assert.equal(await ask('/from', { 'x-forwarded-for': 'nonsense, 10.1.0.1' }), 403);
});

test('streams and switched protocols that a changed policy denies end, whatever they carry', async () => {
  const open = (accessPolicies: readonly object[]): TestConfig => ({
    ...config,
    more: { ...config.more, accessPolicies },
  });
  await using changing = await WaypointProgram.start(open([]));
  const plain = await RawClient.connect(changing.port('mesh'));
  await plain.sees(/^hello\n$/);
  const socket = await RawClient.connect(changing.port());
  socket.sendRaw('GET /socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  await socket.sees(/^HTTP\/1\.1 101 /);
  let ended = 0;
  for (const client of [plain, socket]) client.socket.on('error', () => {}).once('close', () => ended++);
  changing.reconfigure(open([{ name: 'default/nobody', action: 'ACTION_DENY', rules: [{}] }]));
  await until('both have ended', () => ended === 2);
  assert.equal((await changing.record('/socket'))['policy'], 'default/nobody');
});
