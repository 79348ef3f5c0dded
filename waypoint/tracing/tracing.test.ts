// SPDX-License-Identifier: Apache-2.0
// Traces through the whole program: from a client to a backend, and what a collector hears of it.
import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { type CollectedSpan, TestCollector } from '#lib/testkit/collector.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

const seen = new Map<string, IncomingHttpHeaders>();
/** Statuses to answer with before 200, by path. */
const troubles = new Map<string, number[]>();
const backend = createServer((request, response) => {
  seen.set(request.url ?? '', request.headers);
  response.writeHead(troubles.get(request.url ?? '')?.shift() ?? 200, { 'x-answer': 'yes' }).end('ok');
});
let collector: TestCollector;
let all: WaypointProgram;
let none: WaypointProgram;
let tries: WaypointProgram;

const provider = (more: object = {}): object => ({
  name: 'otel',
  kind: 'KIND_OTLP_TRACE',
  target: { service: serviceOf('otel'), port: 80 },
  timeoutMs: 60_000,
  ...more,
});

async function start(
  tracing: object,
  providers: readonly object[] = [provider()],
  env: Readonly<Record<string, string>> = {},
): Promise<WaypointProgram> {
  const { port } = backend.address() as AddressInfo;
  return await WaypointProgram.start(
    {
      services: [
        { name: 'cart', ports: [port] },
        { name: 'other', ports: [port] },
        { name: 'otel', ports: [collector.grpcPort] },
        { name: 'zipkin', ports: [collector.httpPort] },
      ],
      routes: [
        {
          match: { path: { kind: 'KIND_SEGMENTS', value: '/split' } },
          rule: { origin: 'VirtualService shop/vs', backends: [backendOf('cart'), backendOf('other')] },
        },
        {
          match: { path: { kind: 'KIND_EXACT', value: '/flaky' } },
          rule: {
            backends: [backendOf('cart')],
            retry: { attempts: 2, conditions: ['5xx'], backoffBaseMs: 1, backoffMaxMs: 1 },
          },
        },
        { rule: { backends: [backendOf('cart')] } },
      ],
      settings: { providers },
      more: {
        telemetry: [{ name: '*', tracing: { provider: 'otel', useRequestId: true, meshTags: true, ...tracing } }],
      },
    },
    env,
  );
}

before(async () => {
  await new Promise<void>((done) => backend.listen(0, '0.0.0.0', done));
  collector = await TestCollector.start();
  [all, none, tries] = await Promise.all([
    start(
      {
        share: 1,
        tags: [
          { name: 'fixed', kind: 'KIND_LITERAL', value: 'text' },
          { name: 'of.header', kind: 'KIND_HEADER', value: 'x-tenant', defaultValue: 'nobody' },
          { name: 'of.environment', kind: 'KIND_ENVIRONMENT', value: 'TEST_TIER', defaultValue: 'unset' },
          { name: 'not.there', kind: 'KIND_ENVIRONMENT', value: 'TEST_ABSENT', defaultValue: 'default' },
        ],
      },
      [provider()],
      { TEST_TIER: 'gold' },
    ),
    start({ share: 0 }),
    start({ share: 1 }, [provider({ name: 'otel' })], { AMBIT_TRACE_TRIES: 'true' }),
  ]);
});

after(async () => {
  await Promise.all([all, none, tries].map((program) => program?.stop()));
  await collector?.[Symbol.asyncDispose]();
  backend.closeAllConnections();
  await new Promise((done) => backend.close(done));
});

/** Sends one request; resolves with the headers that the backend saw. */
async function send(
  program: WaypointProgram,
  path: string,
  headers: OutgoingHttpHeaders = {},
): Promise<IncomingHttpHeaders> {
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest(program.url(path), { headers, agent: false }, (response) => {
      response.resume().on('end', resolve);
    });
    request.on('error', reject).end();
  });
  return seen.get(path) ?? {};
}

function spanOf(path: string, kind: CollectedSpan['kind'] = 'server'): Promise<CollectedSpan> {
  return until(`a span of ${path}`, () =>
    collector.spans.find((span) => span.kind === kind && String(span.attributes['http.url']).endsWith(path)),
  );
}

test('a trace goes from the client through the waypoint to the backend, and its span to the collector', async () => {
  const headers = await send(all, '/joined', {
    traceparent: `00-${TRACE}-${PARENT}-01`,
    tracestate: 'vendor=1',
    'x-request-id': 'aaaaaaaa-0000-4000-8000-000000000000',
    'x-tenant': 'blue',
    'user-agent': 'tester',
  });
  const span = await spanOf('/joined');
  assert.equal(span.traceId, TRACE);
  assert.equal(span.parentId, PARENT);
  assert.equal(headers['traceparent'], `00-${TRACE}-${span.spanId}-01`);
  assert.equal(headers['tracestate'], 'vendor=1');
  assert.equal(headers['x-request-id'], 'aaaaaaaa-0000-9000-8000-000000000000');
  assert.equal(span.name, 'cart.default.svc.cluster.local:80/*');
  assert.deepEqual(span.resource, { 'service.name': 'default.default' });
  assert.ok(span.end > span.start);
  assert.equal(span.error, false);
  const told = span.attributes;
  const { port } = backend.address() as AddressInfo;
  for (const [key, value] of Object.entries({
    component: 'proxy',
    'http.method': 'GET',
    'http.url': `http://127.0.0.1:${all.port()}/joined`,
    'http.protocol': 'HTTP/1.1',
    'http.status_code': '200',
    user_agent: 'tester',
    'guid:x-request-id': 'aaaaaaaa-0000-9000-8000-000000000000',
    response_flags: '-',
    'peer.address': '127.0.0.1',
    upstream_cluster: 'outbound|80||cart.default.svc.cluster.local',
    'upstream_cluster.name': 'outbound|80||cart.default.svc.cluster.local',
    upstream_address: `127.0.0.1:${port}`,
    'istio.canonical_service': 'default',
    'istio.namespace': 'default',
    'istio.cluster_id': 'Kubernetes',
    'istio.mesh_id': 'cluster.local',
    'istio.destination_workload': 'cart',
    'istio.destination_namespace': 'default',
    'istio.destination_canonical_service': 'cart-0',
    'istio.destination_instance_name': 'cart-0',
    'istio.destination_workload_type': 'deployment',
    fixed: 'text',
    'of.header': 'blue',
    'of.environment': 'gold',
    'not.there': 'default',
  })) {
    assert.equal(told[key], value, key);
  }
  assert.ok(Number(told['response_size']) > 0);
});

test('a client that says no is obeyed, and its headers pass as they are', async () => {
  const traceparent = `00-${TRACE}-${PARENT}-00`;
  const headers = await send(all, '/declined', { traceparent });
  assert.equal(headers['traceparent'], traceparent);
  await send(all, '/after-declined');
  await spanOf('/after-declined');
  assert.equal(
    collector.spans.filter(({ attributes }) => String(attributes['http.url']).endsWith('/declined')).length,
    0,
  );
});

test('B3 in both forms goes on in the form it came in, beside W3C', async () => {
  const single = await send(all, '/b3-single', { b3: `${TRACE}-${PARENT}-1` });
  const one = await spanOf('/b3-single');
  assert.equal(one.parentId, PARENT);
  assert.equal(single['b3'], `${TRACE}-${one.spanId}-1-${PARENT}`);
  assert.equal(single['traceparent'], `00-${TRACE}-${one.spanId}-01`);
  const multi = await send(all, '/b3-multi', { 'x-b3-traceid': PARENT, 'x-b3-spanid': PARENT, 'x-b3-sampled': '1' });
  const other = await spanOf('/b3-multi');
  assert.equal(other.traceId, `0000000000000000${PARENT}`);
  assert.equal(multi['x-b3-traceid'], PARENT);
  assert.equal(multi['x-b3-spanid'], other.spanId);
  assert.equal(multi['x-b3-parentspanid'], PARENT);
  assert.equal(multi['x-b3-sampled'], '1');
  const zero = await send(all, '/b3-zero', { b3: '0' });
  assert.match(zero['traceparent'] as string, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});

test('a request in no trace begins one; what is left out says so to those behind', async () => {
  const begun = await send(all, '/begun');
  const span = await spanOf('/begun');
  assert.equal(span.parentId, '');
  assert.equal(begun['traceparent'], `00-${span.traceId}-${span.spanId}-01`);
  assert.equal((begun['x-request-id'] as string).charAt(14), '9');
  const left = await send(none, '/left-out');
  assert.match(left['traceparent'] as string, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.equal((left['x-request-id'] as string).charAt(14), '4');
});

test('an id that was sampled elsewhere, or a forced trace, is followed whatever the share', async () => {
  await send(none, '/by-id', { 'x-request-id': 'aaaaaaaa-0000-9000-8000-000000000000' });
  await spanOf('/by-id');
  const forced = await send(none, '/forced', { 'x-envoy-force-trace': 'true' });
  await spanOf('/forced');
  assert.equal((forced['x-request-id'] as string).charAt(14), 'b');
});

test('routes name spans: by their path, and by their object where there are several destinations', async () => {
  await send(all, '/split/x');
  assert.equal((await spanOf('/split/x')).name, 'vs:80/split*');
  await send(all, '/flaky');
  assert.equal((await spanOf('/flaky')).name, 'cart.default.svc.cluster.local:80/flaky');
});

test('an answer of the 500s is an error', async () => {
  troubles.set('/broken', [503, 503, 503]);
  await send(all, '/broken');
  const span = await spanOf('/broken');
  assert.equal(span.error, true);
  assert.equal(span.attributes['error'], 'true');
  assert.equal(span.attributes['http.status_code'], '503');
});

test('when tries are asked for, each is a span under the request’s, and the backend goes on from the last', async () => {
  troubles.set('/flaky', [503]);
  const headers = await send(tries, '/flaky', { traceparent: `00-${TRACE.replaceAll('4', '5')}-${PARENT}-01` });
  const traceId = TRACE.replaceAll('4', '5');
  const spans = await until('three spans', () => {
    const found = collector.spans.filter((span) => span.traceId === traceId);
    return found.length === 3 ? found : undefined;
  });
  const server = spans.find(({ kind }) => kind === 'server')!;
  const [first, second] = spans.filter(({ kind }) => kind === 'client');
  assert.equal(server.parentId, PARENT);
  assert.deepEqual(
    [first, second].map((span) => [span?.parentId, span?.attributes['http.status_code'], span?.error]),
    [
      [server.spanId, '503', true],
      [server.spanId, '200', false],
    ],
  );
  assert.equal(first?.attributes['retry.count'], '0');
  assert.equal(second?.attributes['retry.count'], '1');
  assert.equal(headers['traceparent'], `00-${traceId}-${second?.spanId}-01`);
});

test('Zipkin is told in its own form, and servers by its own headers', async () => {
  const zipkin = provider({ kind: 'KIND_ZIPKIN_TRACE', target: { service: serviceOf('zipkin'), port: 80 } });
  await using program = await start({ share: 1 }, [zipkin]);
  const headers = await send(program, '/zipkin');
  const span = await until('a span', () => collector.zipkin[0]);
  assert.equal(headers['x-b3-traceid'], span['traceId']);
  assert.equal(headers['x-b3-spanid'], span['id']);
  assert.equal(headers['x-b3-sampled'], '1');
  assert.equal(headers['traceparent'], undefined);
});

test('spans may be kept back, headers may be left alone', async () => {
  const [silent, shy] = await Promise.all([
    start({ share: 1, disabled: true }),
    start({ share: 1, disablePropagation: true }),
  ]);
  try {
    const decided = await send(silent, '/silent');
    assert.match(decided['traceparent'] as string, /-01$/);
    const untouched = await send(shy, '/shy');
    assert.equal(untouched['traceparent'], undefined);
    await spanOf('/shy');
    assert.equal(
      collector.spans.filter(({ attributes }) => String(attributes['http.url']).endsWith('/silent')).length,
      0,
    );
  } finally {
    await Promise.all([silent.stop(), shy.stop()]);
  }
});

test('what providers took and did not get is counted', async () => {
  await send(all, '/counted');
  await spanOf('/counted');
  const text = await until('a count', async () => {
    const metrics = await all.metrics();
    return /ambit_telemetry_sent_total\{provider="otel"\} [1-9]/.test(metrics) ? metrics : undefined;
  });
  assert.match(text, /ambit_telemetry_dropped_total\{provider="otel",reason="queue_full"\} 0/);
  assert.match(text, /ambit_telemetry_dropped_total\{reason="ring_full"\} 0/);
});
