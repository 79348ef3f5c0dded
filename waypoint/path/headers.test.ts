// SPDX-License-Identifier: Apache-2.0
// Headers that the waypoint adds, changes or leaves alone: by default, and as the mesh's settings have it.
import assert from 'node:assert/strict';
import { createServer, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { backendOf, type TestConfig, WaypointProgram } from '#lib/testkit/waypoint.ts';

const server = createServer((request, response) => {
  response.setHeader('server', 'shop/1.0');
  response.end(JSON.stringify(request.headers));
});
let usual: WaypointProgram;
let chosen: WaypointProgram;

before(async () => {
  const port = await listenAnywhere(server);
  const config = (settings: object): TestConfig => ({
    services: [{ name: 'app', ports: [port] }],
    routes: [
      {
        match: { path: { kind: 'KIND_SEGMENTS', value: '/changed' } },
        rule: {
          backends: [backendOf('app')],
          timeoutMs: 30_000,
          rewrite: { path: { kind: 'KIND_FULL', value: '/new' } },
        },
      },
      { rule: { backends: [backendOf('app')] } },
    ],
    settings,
  });
  const headers = { forwardedPort: true, forwardedHost: true, noRequestId: true, noDebug: true, server: 'front' };
  [usual, chosen] = await Promise.all([WaypointProgram.start(config({})), WaypointProgram.start(config({ headers }))]);
});
after(async () => {
  await usual?.stop();
  await chosen?.stop();
  server.close().closeAllConnections();
});

/** What the server was told, and what the client is. */
async function headersOf(program: WaypointProgram, path: string, headers: Readonly<Record<string, string>> = {}) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(program.url(path), { headers: { host: 'shop.example:8080', ...headers }, agent: false }, resolve).on(
      'error',
      reject,
    );
  });
  let content = '';
  for await (const part of answer.setEncoding('utf8')) content += part;
  return { told: JSON.parse(content) as IncomingHttpHeaders, answer: answer.headers };
}

test('who came before is told as it was told, and nobody is added', async () => {
  const forwarded = { 'x-forwarded-for': '192.0.2.7, 192.0.2.8', 'x-forwarded-proto': 'https' };
  assert.deepEqual((await headersOf(usual, '/')).told['x-forwarded-for'], undefined);
  const { told } = await headersOf(usual, '/', forwarded);
  assert.deepEqual([told['x-forwarded-for'], told['x-forwarded-proto']], Object.values(forwarded));
});

test('by default: a request id, the scheme, which try it is; nothing of host and port', async () => {
  const { answer, told } = await headersOf(usual, '/');
  assert.match(String(told['x-request-id']), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(
    ['x-forwarded-proto', 'x-envoy-attempt-count', 'x-forwarded-host', 'x-forwarded-port', 'host'].map(
      (name) => told[name],
    ),
    ['http', '1', undefined, undefined, 'shop.example:8080'],
  );
  assert.equal(answer['server'], 'istio-envoy');
  assert.match(String(answer['x-envoy-upstream-service-time']), /^\d+$/);
});

test('a rewritten path and a time limit are told to the server', async () => {
  const { told } = await headersOf(usual, '/changed');
  assert.deepEqual([told['x-envoy-original-path'], told['x-envoy-expected-rq-timeout-ms']], ['/changed', '30000']);
});

test('what clients inside the mesh say of themselves is kept, except who they are', async () => {
  const said = { 'x-request-id': 'my-own', 'x-envoy-max-retries': '9', 'x-forwarded-client-cert': 'By=me', te: 'gzip' };
  const { told } = await headersOf(usual, '/', said);
  assert.deepEqual(
    Object.keys(said).map((name) => told[name]),
    ['my-own', '9', undefined, undefined],
  );
});

test('proxyHeaders: host and port are told, ids and Envoy’s own left out, the server named otherwise', async () => {
  const { answer, told } = await headersOf(chosen, '/changed');
  assert.deepEqual(
    ['x-forwarded-host', 'x-request-id', 'x-envoy-attempt-count'].map((name) => told[name]),
    ['shop.example:8080', undefined, undefined],
  );
  assert.match(String(told['x-forwarded-port']), /^\d+$/);
  assert.deepEqual([told['x-envoy-original-path'], told['x-envoy-expected-rq-timeout-ms']], [undefined, undefined]);
  assert.deepEqual([answer['server'], answer['x-envoy-upstream-service-time']], ['front', undefined]);
});
