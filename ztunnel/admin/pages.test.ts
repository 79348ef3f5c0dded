// SPDX-License-Identifier: Apache-2.0
// The three HTTP servers as scrapers, probes and people see them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { serveProxy } from '#lib/proxy/admin/servers.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { loadConfig } from '../config.ts';
import type { RecentConnection } from '../control.ts';
import { FAMILIES } from '../telemetry/families.ts';
import { drainPlan } from './drain-plan.ts';
import { LogControl } from './logging.ts';
import { adminPages, type Connections } from './pages.ts';

const log = createLogger({ scope: 'test', level: 'off' });

const recent = (fields: Partial<RecentConnection>): RecentConnection => ({
  ...{ ended: '2026-01-01T00:00:00.000Z', direction: 'inbound', flag: '-', error: '', durationMs: 1, traceId: '' },
  ...{ receivedBytes: 0, sentBytes: 0, security: 'mutual_tls', src: '10.0.0.1:1', srcWorkload: '', srcIdentity: '' },
  ...{ dst: '10.0.0.2:80', dstWorkload: '', dstIdentity: '', dstService: '', hboneAddress: '', proof: [] },
  ...fields,
});

const CONNECTIONS: Connections = {
  live: [
    {
      ...{ pod: 'u1', workload: 'shop/web', direction: 'inbound', src: '10.0.0.1:1', originalDst: null },
      ...{ actualDst: '10.0.0.2:80', protocol: 'HBONE', nodeLocal: false, ageMs: 5 },
    },
  ],
  recent: [
    recent({ dstWorkload: 'shop/web' }),
    recent({ srcWorkload: 'shop/cart', error: 'denied', flag: 'DENY', policy: 'shop/p', rule: 1 }),
  ],
};
const HELD = ['10.0.0.9', '10.0.0.8'].map((address) => ({
  ...{ address, waiting: 3, since: '2026-01-01T00:00:00.000Z', offences: 12, reason: 'too much' },
}));

async function servers() {
  const config = loadConfig({
    env: { AMBIT_READY_PORT: '0', PROXY_CONFIG: '{proxyAdminPort: 0, statsPort: 0}' },
    readFile: () => undefined,
    cores: 2,
  });
  const readiness = new Readiness();
  const exposition = new Exposition(FAMILIES);
  exposition.value('istio_build', { component: 'ztunnel', tag: 'x' }, () => 1);
  let quits = 0;
  const state = new MeshState({
    ...{ nodeName: '', clusterId: 'Kubernetes', log },
    store: new StoreWriter({ maxRecords: 1000, dataBytes: 1 << 20 }),
    ...{ onCommit: () => {}, onIdentity: () => {}, onIdentityGone: () => {} },
  });
  const pages = adminPages({
    state,
    settings: config.worker,
    dump: async () => ({ workloads: [] }),
    logging: new LogControl(createLogger({ scope: 'x', write: () => {} }), { level: 'info', scopes: {} }, () => {})
      .handle,
    connections: async () => CONNECTIONS,
    held: () => HELD,
    profiles: { clock: systemClock, ofProcess: async () => undefined },
    drainPlan: async () => drainPlan(CONNECTIONS.live, 25_000),
  });
  const all = await serveProxy({
    ...{ ports: config.admin, ipv6: true, pages, readiness, exposition, notReady: 500 },
    quit: () => quits++,
    log,
  });
  const [admin, stats, ready] = [all[0]!, all.at(-2)!, all.at(-1)!].map(({ port }) => port) as [number, number, number];
  const get = async (port: number, path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
  };
  return {
    ...{ admin, stats, ready, get, readiness, state },
    quits: () => quits,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(all.map((server) => server.close()));
    },
  };
}

test('readiness names what is pending, sorted, and takes GET alone', async () => {
  await using rig = await servers();
  const [one, two] = [rig.readiness.hold('workload proxy manager'), rig.readiness.hold('state manager')];
  const waiting = await rig.get(rig.ready, '/healthz/ready');
  assert.deepEqual(
    [waiting.status, waiting.body],
    [500, 'not ready, pending: state manager, workload proxy manager\n'],
  );
  one();
  two();
  const ready = await rig.get(rig.ready, '/healthz/ready');
  assert.deepEqual([ready.status, ready.body], [200, 'ready\n']);
  assert.equal((await rig.get(rig.ready, '/healthz/ready', { method: 'POST' })).status, 405);
  assert.equal((await rig.get(rig.ready, '/metrics')).status, 404);
});

test('metrics are OpenMetrics text on both paths, with its content type for who asks for it', async () => {
  await using rig = await servers();
  for (const path of ['/metrics', '/stats/prometheus']) {
    const plain = await rig.get(rig.stats, path);
    assert.equal(plain.type, 'text/plain; charset=utf-8');
    assert.match(plain.body, /# TYPE istio_build gauge\nistio_build\{component="ztunnel",tag="x"\} 1\n[\s\S]*# EOF\n$/);
    const open = await rig.get(rig.stats, path, { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
    assert.equal(open.type, 'application/openmetrics-text;charset=utf-8;version=1.0.0');
  }
});

test('admin pages answer by method and path as Istio’s do', async () => {
  await using rig = await servers();
  assert.match((await rig.get(rig.admin, '/')).body, /config_dump/);
  assert.equal((await rig.get(rig.admin, '/config_dump')).type, 'application/json');
  assert.equal((await rig.get(rig.admin, '/logging')).status, 405);
  assert.equal((await rig.get(rig.admin, '/logging?level=nonsense', { method: 'POST' })).status, 400);
  assert.equal((await rig.get(rig.admin, '/logging?level=debug', { method: 'POST' })).status, 200);
  assert.equal((await rig.get(rig.admin, '/quitquitquit')).status, 405);
  assert.equal(rig.quits(), 0);
  assert.equal((await rig.get(rig.admin, '/quitquitquit', { method: 'POST' })).body, 'shutdown now\n');
  assert.equal(rig.quits(), 1);
  assert.equal((await rig.get(rig.admin, '/nothing')).status, 404);
});

test('connections that live and that ended are listed, by workload and by failure', async () => {
  await using rig = await servers();
  const ask = async (query: string) =>
    JSON.parse((await rig.get(rig.admin, `/debug/connections${query}`)).body) as Connections & { held: typeof HELD };
  const all = await ask('');
  assert.deepEqual([all.live.length, all.recent.length], [1, 2]);
  assert.deepEqual(all.held, HELD);
  const web = await ask('?workload=shop/web');
  assert.deepEqual([web.live.length, web.recent.length], [1, 1]);
  const failed = await ask('?failed=true');
  assert.deepEqual(
    failed.recent.map(({ policy }) => policy),
    ['shop/p'],
  );
  assert.equal(failed.live.length, 0);
  assert.equal((JSON.parse((await rig.get(rig.admin, '/debug/drain')).body) as { open: number }).open, 1);
});

test('who explains a connection, or a tunnel, says whether the client’s tunnels have to wait at this proxy', async () => {
  await using rig = await servers();
  rig.state.putWorkload(workload({ name: 'cart', namespace: 'shop', ips: ['10.0.0.9', 'fd00::9'] }));
  rig.state.putWorkload(workload({ name: 'web', namespace: 'shop', ips: ['10.0.0.7'] }));
  rig.state.flush();
  const held = async (question: string) =>
    (JSON.parse((await rig.get(rig.admin, `/debug/explain?${question}`)).body) as { held?: unknown }).held;
  assert.deepEqual(await held('from=shop/cart&to=10.0.0.7:80'), [HELD[0]]);
  assert.deepEqual(await held('from=shop/cart&to=10.0.0.7:80&tunnel=true'), [HELD[0]]);
  assert.deepEqual(await held('from=shop/web&to=10.0.0.9:80'), []);
  assert.equal(await held('from=shop/cart&dns=web'), undefined);
});
