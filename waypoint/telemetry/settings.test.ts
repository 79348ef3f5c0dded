// SPDX-License-Identifier: Apache-2.0
// Access logs and metrics as telemetry settings want them, seen from outside the program.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { connect as connectH2, createServer as createH2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestCollector } from '#lib/testkit/collector.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-settings-'));
const file = join(folder, 'access.log');
const backend = createServer((request, response) => {
  response.writeHead(request.url?.startsWith('/bad') ? 503 : 200, { 'x-answer': 'told' }).end('ok');
});
/** Three messages for whatever comes. */
const grpc = createH2Server();
grpc.on('stream', (stream: ServerHttp2Stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.resume().on('end', () => stream.end(Buffer.concat([message('a'), message('bb'), message('')])));
});
/** Servers speak HTTP/2, and are asked by it. */
const POOL = {
  h2Upgrade: 'UPGRADE_ALWAYS',
  connectTimeoutMs: 60_000,
  maxConnections: 100,
  maxPendingRequests: 100,
  maxRequests: 100,
  maxRetries: 3,
  httpIdleTimeoutMs: 60_000,
};
let collector: TestCollector;
let program: WaypointProgram;

function message(text: string): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(text.length, 1);
  return Buffer.concat([header, Buffer.from(text)]);
}

const port = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

before(async () => {
  await Promise.all([backend, grpc].map((server) => new Promise<void>((done) => server.listen(0, '0.0.0.0', done))));
  collector = await TestCollector.start();
  const format =
    '%REQ(X-NONE?:PATH)% %RESPONSE_CODE% %RESP(X-ANSWER)%:%RESP(X-ANSWER):2% %REQ(X-NONE)% %ENVIRONMENT(TEST_TIER)% %START_TIME(%Y)% 100%%';
  const labels = {
    code: '%RESPONSE_CODE%',
    path: '%REQ(:PATH)%',
    none: '%REQ(X-NONE)%',
    both: '%PROTOCOL% %REQ(:METHOD)%',
  };
  program = await WaypointProgram.start(
    {
      services: [
        { name: 'app', ports: [port(backend)] },
        { name: 'grpc', ports: [port(grpc)] },
        { name: 'otel', ports: [collector.grpcPort] },
      ],
      routes: [
        {
          match: { path: { kind: 'KIND_SEGMENTS', value: '/pkg.Svc' } },
          rule: { backends: [backendOf('grpc')] },
        },
        { rule: { backends: [backendOf('app')] } },
      ],
      settings: {
        providers: [
          { name: 'file', kind: 'KIND_FILE_LOG', path: file, format },
          { name: 'fields', kind: 'KIND_FILE_LOG', path: '/dev/stdout', json: true, jsonFields: labels },
          {
            name: 'otel',
            kind: 'KIND_OTLP_LOG',
            target: { service: serviceOf('otel'), port: 80 },
            timeoutMs: 60_000,
            format: '%REQ(:PATH)%',
            jsonFields: { code: '%RESPONSE_CODE%' },
          },
        ],
      },
      more: {
        trafficPolicies: [{ name: serviceOf('grpc'), upstreams: [{ pool: POOL }] }],
        telemetry: [
          {
            name: '*',
            accessLogs: {
              loggers: [
                { provider: 'file', filter: 'request.url_path.startsWith("/bad") && response.code >= 500' },
                { provider: 'fields' },
                { provider: 'otel', filter: 'request.headers["x-keep"] == "yes"' },
              ],
            },
            metrics: {
              overrides: [
                {
                  metric: 'requests_total',
                  tags: [
                    { name: 'source_app', remove: true },
                    { name: 'tenant', value: 'request.headers["x-tenant"]' },
                    { name: 'response_code', value: 'string(response.code / 100) + "xx"' },
                  ],
                },
                { metric: 'response_bytes', disabled: true },
              ],
            },
          },
        ],
      },
    },
    { TEST_TIER: 'gold' },
  );
});

after(async () => {
  await program?.stop();
  await collector?.[Symbol.asyncDispose]();
  backend.closeAllConnections();
  await Promise.all([backend, grpc].map((server) => new Promise((done) => server.close(done))));
  rmSync(folder, { recursive: true, force: true });
});

async function send(path: string, headers: OutgoingHttpHeaders = {}): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest(program.url(path), { headers, agent: false }, (response) => {
      response.resume().on('end', resolve);
    });
    request.on('error', reject).end();
  });
}

test('a file gets lines of its format, of requests that its filter wants alone', async () => {
  await send('/good');
  await send('/bad?q=1');
  const text = await until('a line', () => {
    try {
      return readFileSync(file, 'utf8') || undefined;
    } catch {
      return undefined;
    }
  });
  const year = new Date().getUTCFullYear();
  assert.equal(text, `/bad?q=1 503 told:to - gold ${year} 100%\n`);
});

test('fields of a JSON line keep their numbers, and are null where there is nothing', async () => {
  await send('/fields');
  assert.deepEqual(await program.record('/fields'), { code: 200, path: '/fields', none: null, both: 'HTTP/1.1 GET' });
});

test('a collector of log records gets those that its filter wants; one that fails wants none', async () => {
  await send('/dropped');
  await send('/kept', { 'x-keep': 'yes' });
  const record = await until('a record', () => collector.logs[0]);
  assert.equal(record.body, '/kept');
  assert.deepEqual(record.attributes, { code: 200 });
  assert.equal(collector.logs.length, 1);
});

test('metrics: labels are removed, computed or replaced, and whole metrics left out', async () => {
  await send('/counted', { 'x-tenant': 'blue' });
  await send('/counted');
  const text = await until('a count', async () => {
    const found = await program.metrics();
    return /istio_requests_total\{[^}]*tenant="blue"/.test(found) ? found : undefined;
  });
  const counts = text.split('\n').filter((line) => line.startsWith('istio_requests_total{'));
  assert.ok(counts.every((line) => !line.includes('source_app=')));
  assert.ok(counts.some((line) => line.includes('tenant="unknown"')));
  assert.ok(counts.some((line) => line.includes('response_code="2xx"')));
  assert.equal(text.includes('istio_response_bytes_bucket'), false);
  const durations = text.split('\n').filter((line) => line.startsWith('istio_request_duration_milliseconds_count{'));
  assert.ok(durations.length > 0 && durations.every((line) => line.includes('source_app=')));
});

test('messages of gRPC are counted both ways, and no others', async () => {
  const client = connectH2(`http://127.0.0.1:${program.port()}`);
  try {
    await new Promise<void>((resolve, reject) => {
      const stream = client.request({
        ':method': 'POST',
        ':path': '/pkg.Svc/Call',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', reject).on('end', resolve).resume();
      stream.write(message('one'));
      stream.end(message('x'.repeat(70_000)));
    });
  } finally {
    client.close();
  }
  const counts = await until('the messages', async () => {
    const lines = (await program.metrics()).split('\n');
    const found = lines.filter((line) => /^istio_(request|response)_messages_total\{.*\} [1-9]/.test(line));
    return found.length === 2 && found[1]!.endsWith(' 3') ? found : undefined;
  });
  assert.deepEqual(
    counts.map((line) => [line.slice(0, line.indexOf('{')), line.slice(line.lastIndexOf(' ') + 1)]),
    [
      ['istio_request_messages_total', '2'],
      ['istio_response_messages_total', '3'],
    ],
  );
  assert.ok(counts.every((line) => line.includes('request_protocol="grpc"')));
});
