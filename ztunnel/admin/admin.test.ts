// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdminRequest } from '#lib/kit/admin.ts';
import { createLogger, type Logger } from '#lib/kit/log.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { configDump, dumpCertificate } from './config-dump.ts';
import { LogControl } from './logging.ts';

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
    { enabled: true, opened: true },
    { enabled: false, opened: false },
    { enabled: true, opened: false },
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

test('the dump lists pods with their own connections, sorted mesh objects and no key', () => {
  const state = new MeshState({
    nodeName: '',
    store: new StoreWriter({ maxRecords: 64, dataBytes: 1 << 20 }),
    log: createLogger({ scope: 'test', level: 'off' }),
    onCommit: () => {},
    onIdentity: () => {},
    onIdentityGone: () => {},
  });
  for (const name of ['b', 'a']) state.putWorkload(workload({ name, serves: { 'default/x': { 80: 1 } } }));
  const info = { uid: 'u1', name: 'a', namespace: 'default', serviceAccount: 'default' };
  const connection = {
    pod: 'u1',
    direction: 'inbound' as const,
    src: '10.0.0.1:1',
    originalDst: null,
    actualDst: '10.0.0.2:80',
    protocol: 'HBONE' as const,
    nodeLocal: false,
  };
  const dump = configDump({
    state,
    secrets: new Map([['spiffe://x', { kind: 'wanted' }]]),
    pods: [{ info, up: true }],
    connections: [connection, { ...connection, pod: 'other' }],
    config: {},
    version: {},
  }) as Record<string, unknown>;
  assert.deepEqual(
    (dump['workloads'] as { name: string }[]).map(({ name }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(Object.keys(dump['stagedServices'] as object), ['default/x']);
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
