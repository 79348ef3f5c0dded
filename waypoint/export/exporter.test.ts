// SPDX-License-Identifier: Apache-2.0
// What is exported, as a collector on real sockets sees it, and what becomes of it while there is none.
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { BLANK_PROVIDER, type Provider } from '#lib/mesh/http/waypoint.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { TestCollector } from '#lib/testkit/collector.ts';
import { mesh } from '#lib/testkit/mesh.ts';
import { until } from '#lib/testkit/until.ts';
import { BatchQueue, type SendOutcome } from './batch-queue.ts';
import { Exporter } from './exporter.ts';
import { encodeRecord, type LogRecord, type SpanRecord } from './record.ts';

const KEY = 'obs/otel.obs.svc.cluster.local';
const SPAN: SpanRecord = {
  kind: 'span',
  to: 'otel',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: '',
  state: 'a=1',
  name: 'cart:80/*',
  role: 'server',
  start: 1_790_000_000_000.25,
  end: 1_790_000_000_010.5,
  error: true,
  attributes: [
    ['http.status_code', '503'],
    ['component', 'proxy'],
  ],
};
const LOG: LogRecord = {
  kind: 'log',
  to: 'otel',
  time: 1_790_000_000_000,
  text: 'a line',
  traceId: SPAN.traceId,
  spanId: SPAN.spanId,
  attributes: [['k', 'v']],
};

function providerOf(kind: Provider['kind'], more: Partial<Provider> = {}): Provider {
  const target = { service: KEY, port: 4317, subset: '' };
  return { ...BLANK_PROVIDER, name: 'otel', kind, target, timeoutMs: 60_000, ...more };
}

function exporterFor(provider: Provider, port: number, env: Readonly<Record<string, string>> = {}) {
  const counts = new Map<string, () => number>();
  const lines: string[] = [];
  const exporter = new Exporter({
    clock: systemClock,
    random: () => 0,
    log: createLogger({ scope: 'export', write: (line) => lines.push(line) }),
    mesh: mesh({
      workloads: [{ uid: 'otel', namespace: 'obs', ips: ['127.0.0.1'], serves: { [KEY]: { 4317: port } } }],
      services: [{ name: 'otel', namespace: 'obs' }],
    }),
    facts: { gateway: 'shop/waypoint', podName: 'waypoint-1', version: '1', env: (name) => env[name] },
    exposition: {
      value: (name, labels, read) => counts.set(labels['reason'] ?? name, read),
    },
  });
  exporter.configure([provider]);
  return {
    exporter,
    lines,
    count: (which: 'ambit_telemetry_sent_total' | 'refused') => counts.get(which)?.() ?? 0,
    [Symbol.asyncDispose]: () => exporter.close(),
  };
}

test('spans arrive by OTLP over gRPC, with who speaks and the provider’s metadata', async () => {
  await using collector = await TestCollector.start();
  const provider = providerOf('otlp-trace', { extraHeaders: [{ name: 'x-token', value: 't' }] });
  await using rig = exporterFor(provider, collector.grpcPort);
  const { count, exporter } = rig;
  exporter.take(encodeRecord(SPAN)!);
  const span = await until('a span', () => collector.spans[0]);
  await exporter.close();
  deepEqual(span, {
    traceId: SPAN.traceId,
    spanId: SPAN.spanId,
    parentId: '',
    name: 'cart:80/*',
    kind: 'server',
    error: true,
    start: 1_790_000_000_000_250_000n,
    end: 1_790_000_000_010_500_000n,
    attributes: { 'http.status_code': '503', component: 'proxy' },
    resource: { 'service.name': 'waypoint.shop' },
  });
  equal(collector.headers[0]?.['x-token'], 't');
  equal(count('ambit_telemetry_sent_total'), 1);
});

test('spans and log records arrive by OTLP over HTTP', async () => {
  await using collector = await TestCollector.start();
  const headers = { extraHeaders: [{ name: 'authorization', value: 'Basic x' }] };
  await using traces = exporterFor(providerOf('otlp-trace', { path: '/v1/traces', ...headers }), collector.httpPort);
  traces.exporter.take(encodeRecord(SPAN)!);
  await traces.exporter.close();
  equal(collector.spans[0]?.spanId, SPAN.spanId);
  equal(collector.headers[0]?.['authorization'], 'Basic x');
  equal(collector.headers[0]?.['content-type'], 'application/x-protobuf');
  await using logs = exporterFor(providerOf('otlp-log', { path: '/v1/logs' }), collector.httpPort);
  logs.exporter.take(encodeRecord(LOG)!);
  await logs.exporter.close();
  deepEqual(collector.logs, [{ body: 'a line', traceId: SPAN.traceId, attributes: { k: 'v' } }]);
});

test('log records arrive by OTLP over gRPC', async () => {
  await using collector = await TestCollector.start();
  await using rig = exporterFor(providerOf('otlp-log'), collector.grpcPort);
  const { exporter } = rig;
  exporter.take(encodeRecord(LOG)!);
  await exporter.close();
  equal(collector.logs[0]?.body, 'a line');
});

test('spans arrive as Zipkin’s JSON, with ids of 128 bits', async () => {
  await using collector = await TestCollector.start();
  await using rig = exporterFor(providerOf('zipkin-trace'), collector.httpPort);
  const { exporter } = rig;
  exporter.take(encodeRecord({ ...SPAN, parentId: '1111111111111111' })!);
  await exporter.close();
  deepEqual(collector.zipkin, [
    {
      traceId: SPAN.traceId,
      id: SPAN.spanId,
      parentId: '1111111111111111',
      name: 'cart:80/*',
      kind: 'SERVER',
      timestamp: 1_790_000_000_000_250,
      duration: 10_250,
      localEndpoint: { serviceName: 'waypoint.shop' },
      tags: { 'http.status_code': '503', component: 'proxy' },
    },
  ]);
});

test('the resource: conventions of OpenTelemetry, and what the environment adds when it is asked', async () => {
  await using collector = await TestCollector.start();
  const env = { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=a%20b,broken,x=%zz', OTEL_SERVICE_NAME: 'edge' };
  const provider = providerOf('otlp-trace', { otelConventions: true, resourceDetectors: ['environment'] });
  await using rig = exporterFor(provider, collector.grpcPort, env);
  const { exporter } = rig;
  exporter.take(encodeRecord(SPAN)!);
  await exporter.close();
  deepEqual(collector.spans[0]?.resource, {
    'service.name': 'edge',
    'service.namespace': 'shop',
    'service.version': '1',
    'service.instance.id': 'shop.waypoint-1.istio-proxy',
    'deployment.environment': 'a b',
    x: '%zz',
  });
});

test('a collector that is away is told of once, and gets what was kept when it is back', async () => {
  await using collector = await TestCollector.start();
  await using rig = exporterFor(providerOf('otlp-trace'), collector.grpcPort);
  const { count, exporter, lines } = rig;
  collector.failing = { grpc: 14, http: 503 };
  exporter.take(encodeRecord(SPAN)!);
  await until('a line about it', () => lines.some((line) => line.includes('cannot be reached')));
  collector.failing = undefined;
  await until('the span', () => collector.spans.length === 1);
  await until('a line that it is back', () => lines.some((line) => line.includes('again')));
  equal(lines.length, 2);
  equal(count('ambit_telemetry_sent_total'), 1);
  await exporter.close();
});

test('what a collector refuses is not sent again, and counted', async () => {
  await using collector = await TestCollector.start();
  await using rig = exporterFor(providerOf('otlp-trace', { path: '/nowhere' }), collector.httpPort);
  const { count, exporter, lines } = rig;
  exporter.take(encodeRecord(SPAN)!);
  await until('it to be refused', () => count('refused') === 1);
  equal(lines.length, 1);
  match(lines[0]!, /does not take.*\/nowhere answers 404/);
  await exporter.close();
});

test('a provider whose service the mesh does not have keeps its spans, and says so', async () => {
  await using rig = exporterFor(providerOf('otlp-trace', { target: undefined }), 1);
  const { exporter, lines } = rig;
  exporter.take(encodeRecord(SPAN)!);
  await until('a line about it', () => lines.some((line) => line.includes('no such service')));
  await exporter.close();
});

test('a record for nobody is dropped', async () => {
  await using rig = exporterFor(providerOf('otlp-trace'), 1);
  const { exporter } = rig;
  exporter.take(encodeRecord({ ...SPAN, to: 'somebody' })!);
});

test('lines for a file are appended to it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-log-'));
  try {
    const path = join(folder, 'access.log');
    await using rig = exporterFor(providerOf('file-log', { path }), 1);
    const { count, exporter } = rig;
    exporter.take(encodeRecord({ ...LOG, text: 'one\n' })!);
    exporter.take(encodeRecord({ ...LOG, text: 'two\n' })!);
    await exporter.close();
    equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
    equal(count('ambit_telemetry_sent_total'), 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a file that cannot be written keeps its lines, and is told of once', async () => {
  await using rig = exporterFor(providerOf('file-log', { path: '/proc/no/such/file' }), 1);
  const { exporter, lines } = rig;
  exporter.take(encodeRecord({ ...LOG, text: 'one\n' })!);
  await exporter.close();
  await exporter.close();
  equal(lines.filter((line) => line.includes('cannot be written')).length, 1);
});

test('attributes that do not fit into the ring are left out', () => {
  const attributes = Array.from({ length: 64 }, (_, i) => [`k${i}`, 'ö'.repeat(200)] as const);
  const text = encodeRecord({ ...SPAN, attributes })!;
  ok(Buffer.byteLength(text) <= 8192);
  equal((JSON.parse(text) as SpanRecord).attributes.length, 16);
});

function queue(send: (batch: readonly number[]) => Promise<SendOutcome>) {
  const clock = new FakeClock();
  const log = createLogger({ scope: 'export', write: () => {} });
  const options = { name: 'q', send, clock, random: () => 0.5, log, maxItems: 5, batchItems: 2, delayMs: 100 };
  return { clock, queue: new BatchQueue<number>(options) };
}

test('a batch goes when it is full, or when its first item has waited long enough', async () => {
  const batches: (readonly number[])[] = [];
  const { clock, queue: one } = queue((batch) => {
    batches.push(batch);
    return Promise.resolve({ kind: 'taken', rejected: 0, reason: '' });
  });
  one.add(1);
  await clock.advance(50);
  deepEqual(batches, []);
  one.add(2);
  await clock.advance(0);
  deepEqual(batches, [[1, 2]]);
  one.add(3);
  await clock.advance(100);
  deepEqual(batches, [[1, 2], [3]]);
  equal(one.sent, 3);
});

test('while the collector is away the queue stays bounded, pauses grow, and nothing is lost that was kept', async () => {
  let away = true;
  const times: number[] = [];
  const batches: (readonly number[])[] = [];
  const { clock, queue: one } = queue((batch) => {
    times.push(clock.monotonic());
    if (away) return Promise.resolve({ kind: 'retry', reason: 'away' });
    batches.push(batch);
    return Promise.resolve({ kind: 'taken', rejected: 0, reason: '' });
  });
  for (let i = 0; i < 8; i++) one.add(i);
  equal(one.overflowed, 3);
  await clock.advance(3600);
  deepEqual(times, [0, 500, 1500, 3500]);
  away = false;
  await clock.advance(4000);
  deepEqual(batches, [[0, 1], [2, 3], [4]]);
  equal(one.waiting, 0);
});

test('a queue that is closed while its collector is away gives up at once', async () => {
  const { clock, queue: one } = queue(() => Promise.resolve({ kind: 'retry', reason: 'away' }));
  one.add(1);
  one.add(2);
  await clock.advance(0);
  await one.close(1000);
  equal(one.overflowed, 2);
});

test('a queue that is closed while its collector does not answer gives up after its deadline', async () => {
  const { clock, queue: one } = queue(() => new Promise(() => {}));
  one.add(1);
  const closed = one.close(1000);
  await clock.advance(1000);
  await closed;
  equal(one.overflowed, 1);
});
