// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdminRequest } from '#lib/kit/admin.ts';
import { createLogger, type Logger } from '#lib/kit/log.ts';
import { startCpuProfile } from '#lib/kit/profile.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { configDump, dumpCertificate } from './config-dump.ts';
import { drainPlan } from './drain-plan.ts';
import { LogControl } from './logging.ts';
import { profileRoutes } from './profile.ts';

const HELD = { address: '10.0.0.9', waiting: 3, since: '2026-01-01T00:00:00.000Z', offences: 12, reason: 'too much' };

const request = (query: string, method = 'POST'): AdminRequest => ({
  method,
  path: '/logging',
  query: new URLSearchParams(query),
  headers: {},
  body: '',
  remote: '127.0.0.1',
});

function control(): { log: Logger; ask: (query: string, method?: string) => string; access: unknown[] } {
  const log = createLogger({ scope: 'ztunnel', write: () => {} });
  const access: unknown[] = [];
  const logging = new LogControl(log, { level: 'info', scopes: {} }, (settings) => access.push(settings));
  return { log, access, ask: (query, method) => logging.handle(request(query, method)).body };
}

test('log levels are shown, changed for all or for a scope, and reset', () => {
  const { ask, log, access } = control();
  assert.equal(ask(''), 'current log level is info\n');
  assert.equal(ask('level=debug'), 'current log level is debug\n');
  assert.equal(ask('level=access=off,xds=trace'), 'current log level is debug,access=off,xds=trace\n');
  assert.equal(log.child('access').enabled('error'), false);
  assert.equal(ask('reset'), 'current log level is info\n');
  assert.deepEqual(access, [
    { enabled: true, opened: true, dns: true },
    { enabled: false, opened: false, dns: true },
    { enabled: true, opened: false, dns: false },
  ]);
  assert.match(ask('level=loud'), /Invalid level loud[\s\S]*usage/);
  assert.match(ask('', 'GET'), /Invalid HTTP method/);
});

test('certificates are dumped in Istio’s shape', async () => {
  const ca = await createTestCa();
  const identity = 'spiffe://cluster.local/ns/a/sa/b';
  const { chainPem, keyPem } = await ca.issue(identity);
  const certificate = { identity, chainPem, keyPem, rootsPem: ca.rootPem, notBefore: 0, notAfter: 0 };
  const dumped = dumpCertificate(identity, { kind: 'available', certificate }) as {
    state: string;
    certChain: { pem: string; serialNumber: string; validFrom: string }[];
    rootCerts: unknown[];
  };
  assert.equal(dumped.state, 'Available');
  assert.equal(dumped.rootCerts.length, 1);
  const [leaf] = dumped.certChain;
  assert.match(Buffer.from(leaf!.pem, 'base64').toString(), /^-----BEGIN CERTIFICATE-----/);
  assert.match(leaf!.serialNumber, /^\d+$/);
  assert.match(leaf!.validFrom, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(dumpCertificate(identity, { kind: 'unavailable', reason: 'down' }), {
    identity,
    state: 'Unavailable: down',
    certChain: [],
    rootCerts: [],
  });
});

test('the dump lists pods with their own connections, sorted mesh objects and no key', async () => {
  const state = new MeshState({
    nodeName: '',
    clusterId: 'Kubernetes',
    store: new StoreWriter({ maxRecords: 64, dataBytes: 1 << 20 }),
    log: createLogger({ scope: 'test', level: 'off' }),
    onCommit: () => {},
    onIdentity: () => {},
    onIdentityGone: () => {},
  });
  for (const name of ['b', 'a']) state.putWorkload(workload({ name, serves: { 'default/x': { 80: 1 } } }));
  state.flush();
  await state.flushed();
  const info = { uid: 'u1', name: 'a', namespace: 'default', serviceAccount: 'default' };
  const connection = {
    pod: 'u1',
    direction: 'inbound' as const,
    src: '10.0.0.1:1',
    originalDst: null,
    actualDst: '10.0.0.2:80',
    protocol: 'HBONE' as const,
    nodeLocal: false,
    ageMs: 0,
  };
  const dump = configDump({
    state,
    secrets: new Map([['spiffe://x', { kind: 'wanted' }]]),
    pods: [{ info, up: true }],
    connections: [connection, { ...connection, pod: 'other' }],
    held: [HELD],
    config: {},
    version: {},
  }) as Record<string, unknown>;
  assert.deepEqual(
    (dump['workloads'] as { name: string }[]).map(({ name }) => name),
    ['a', 'b'],
  );
  const [first] = dump['workloads'] as Record<string, unknown>[];
  const told = [first!['trustDomain'], first!['serviceAccount'], first!['workloadType']];
  assert.deepEqual(told, ['cluster.local', 'default', 'pod'], 'also where it is what most have');
  const waiting = { workloadUid: 'Kubernetes//Pod/default/a', port: { 80: 1 }, status: 'Healthy' };
  const staged = dump['stagedServices'] as Record<string, Record<string, unknown>>;
  assert.deepEqual(Object.keys(staged), ['default/x']);
  assert.deepEqual(staged['default/x']!['Kubernetes//Pod/default/a'], waiting);
  assert.deepEqual(dump['heldAddresses'], [HELD]);
  assert.deepEqual(dump['workloadState'], {
    u1: {
      state: 'Up',
      connections: {
        inbound: [{ src: '10.0.0.1:1', originalDst: null, actualDst: '10.0.0.2:80', protocol: 'HBONE' }],
        outbound: [],
      },
      info: { name: 'a', namespace: 'default', serviceAccount: 'default' },
    },
  });
  assert.doesNotMatch(JSON.stringify(dump), /PRIVATE KEY/);
});

test('a drain is forecast by age: what has outlived the deadline already likely outlives it again', () => {
  const one = {
    ...{ pod: 'u1', workload: 'shop/a', direction: 'inbound' as const, originalDst: null, actualDst: '10.0.0.2:80' },
    ...{ protocol: 'HBONE' as const, nodeLocal: false },
  };
  const live = [
    { ...one, src: '10.0.0.1:1', ageMs: 1_000 },
    { ...one, src: '10.0.0.1:2', ageMs: 30_000 },
    { ...one, src: '10.0.0.1:3', ageMs: 90_000 },
  ];
  const plan = drainPlan(live, 25_000);
  assert.deepEqual([plan.open, plan.finishing], [3, 1]);
  assert.deepEqual(
    plan.cut.map(({ ageMs, src }) => [src, ageMs]),
    [
      ['10.0.0.1:3', 90_000],
      ['10.0.0.1:2', 30_000],
    ],
  );
});

test('profiles are taken in V8’s formats, with Istio’s parameters and their bounds', async () => {
  const asked: unknown[] = [];
  const routes = profileRoutes({
    clock: new FakeClock(),
    ofProcess: async (...of) => {
      asked.push(of);
      return of[0] === 0 ? '{"nodes":[]}' : undefined;
    },
  });
  const ask = async (path: string, query: string) => await routes[path]!(request(query, 'GET'));
  assert.equal((await ask('/debug/pprof/profile', 'seconds=301')).status, 400);
  assert.equal((await ask('/debug/pprof/profile', 'frequency=1001')).status, 400);
  assert.equal((await ask('/debug/pprof/profile', 'process=0&seconds=2')).body, '{"nodes":[]}');
  assert.equal((await ask('/debug/pprof/profile', 'process=7')).status, 404);
  assert.deepEqual(asked, [
    [0, 2, 100],
    [7, 10, 100],
  ]);
  assert.equal((await ask('/debug/pprof/heap', '')).status, 409);
  assert.equal((await ask('/debug/pprof/heap/profiling', 'activate=true')).body, 'heap profiling is on\n');
  assert.ok('head' in (JSON.parse((await ask('/debug/pprof/heap', '')).body) as object));
  assert.equal((await ask('/debug/pprof/heap/profiling', 'activate=false')).body, 'heap profiling is off\n');
  const profile = startCpuProfile(1000);
  for (const end = performance.now() + 20; performance.now() < end; ) JSON.stringify(asked);
  assert.ok((JSON.parse(profile.stop()) as { nodes: unknown[] }).nodes.length > 0);
});
