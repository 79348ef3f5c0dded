// SPDX-License-Identifier: Apache-2.0
// Machines that register over their stream, against a fake API.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Informer } from '#lib/kube/informer.ts';
import { WORKLOAD_ENTRY, WORKLOAD_GROUP } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { connect, populate, startApp } from '#lib/testkit/istiod.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import type { Peer } from '#lib/xds/server-stream.ts';
import { createIstiodMetrics } from '../metrics.ts';
import { isAbandoned, machineOf } from './machine.ts';
import { Registration } from './registration.ts';

const GROUPS = '/apis/networking.istio.io/v1/workloadgroups';
const ENTRIES = '/apis/networking.istio.io/v1/workloadentries';
const NAME = 'db-192.0.2.1-yard';
const GRACE_MS = 50;

const group = (spec: object = {}): GenericObject => ({
  metadata: { namespace: 'shop', name: 'db', uid: 'uid-db' },
  spec: {
    metadata: { labels: { app: 'db' } },
    template: { serviceAccount: 'db', labels: { app: 'template', tier: 'back' }, ports: { sql: 5432 } },
    probe: { tcpSocket: { port: 5432 } },
    ...spec,
  },
});

const peer = (more: Record<string, string | object> = {}, identity = 'spiffe://cluster.local/ns/shop/sa/db'): Peer => ({
  id: 'sidecar~192.0.2.1~vm.shop~shop.svc.cluster.local',
  metadata: { AUTO_REGISTER_GROUP: 'db', NAMESPACE: 'shop', NETWORK: 'yard', ...more } as Peer['metadata'],
  identity,
});

async function rig(cluster: FakeCluster, { instance = 'istiod-1', clock = systemClock as Clock } = {}) {
  const { client } = cluster;
  const log = createLogger({ scope: 'test', write: () => undefined });
  const options = { client, clock: systemClock, random: () => 0.5, log };
  const groups = new Informer({ ...options, kind: WORKLOAD_GROUP });
  const entries = new Informer({ ...options, kind: WORKLOAD_ENTRY });
  for (const informer of [groups, entries]) informer.start();
  await Promise.all([groups.whenSynced(), entries.whenSynced()]);
  const registration = new Registration({
    client,
    clock,
    log,
    metrics: createIstiodMetrics(createMetrics()),
    groups,
    entries,
    instance,
    graceMs: GRACE_MS,
    maxAgeMs: 60_000,
  });
  return {
    registration,
    entries,
    [Symbol.dispose]() {
      registration.stop();
      for (const informer of [groups, entries]) informer.stop();
    },
  };
}

const stored = ({ api }: FakeCluster, name = NAME) => api.find<GenericObject>(ENTRIES, 'shop', name);

test('a machine is known by its group and address, or by the name of its entry', () => {
  equal(machineOf(peer())?.name, NAME);
  equal(machineOf(peer({ NETWORK: '', INSTANCE_IPS: 'fd00::1,10.0.0.1' }))?.name, 'db-fd00--1');
  equal(machineOf(peer({ AUTO_REGISTER_GROUP: 'g'.repeat(300) }))?.name.length, 253);
  equal(machineOf(peer({ AUTO_REGISTER_GROUP: '', WORKLOAD_ENTRY: 'vm-1' }))?.name, 'vm-1');
  equal(machineOf(peer({ AUTO_REGISTER_GROUP: '' })), undefined);
});

test('a connected machine has an entry made from its group, which goes a while after the last stream', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(GROUPS, group());
  using one = await rig(cluster);
  const { registration } = one;
  registration.opened(peer({ LABELS: { version: 'v2' } }));
  const entry = await until('the entry', () => stored(cluster));
  deepEqual(entry.spec, {
    serviceAccount: 'db',
    labels: { app: 'template', tier: 'back' },
    ports: { sql: 5432 },
    address: '192.0.2.1',
    network: 'yard',
  });
  deepEqual(entry.metadata.labels, { app: 'db', tier: 'back', version: 'v2' });
  equal(entry.metadata.ownerReferences?.[0]?.uid, 'uid-db');
  equal(entry.metadata.annotations?.['istio.io/autoRegistrationGroup'], 'db');
  equal(entry.metadata.annotations?.['proxy.istio.io/health-checks-enabled'], 'true');
  registration.opened(peer());
  registration.closed(peer());
  registration.closed(peer());
  await until('its end', () => stored(cluster) === undefined);
});

test('a machine that comes back in time keeps its entry', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(GROUPS, group());
  const clock = new FakeClock();
  using one = await rig(cluster, { clock });
  const { registration } = one;
  registration.opened(peer());
  const first = await until('the entry', () => stored(cluster));
  registration.closed(peer());
  await until('the note', () => stored(cluster)?.metadata.annotations?.['istio.io/disconnectedAt'] !== undefined);
  registration.opened(peer());
  await until('the new note', () => stored(cluster)?.metadata.annotations?.['istio.io/disconnectedAt'] === undefined);
  await clock.advance(2 * GRACE_MS);
  equal(stored(cluster)?.metadata.uid, first.metadata.uid);
});

test('a machine that another istiod has taken over is left alone', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(GROUPS, group());
  using first = await rig(cluster);
  using second = await rig(cluster, { instance: 'istiod-2' });
  first.registration.opened(peer());
  await until('the entry', () => stored(cluster));
  second.registration.opened(peer());
  const owner = () => stored(cluster)?.metadata.annotations?.['istio.io/workloadController'];
  await until('the new owner', () => owner() === 'istiod-2');
  const deletions = () => cluster.api.requests.filter(({ method }) => method === 'DELETE').length;
  first.registration.closed(peer());
  await systemClock.sleep(150);
  deepEqual([owner(), deletions()], ['istiod-2', 0]);
});

test('what an agent says of health becomes a condition, and goes with the machine', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(ENTRIES, {
    metadata: { namespace: 'shop', name: 'vm-1', annotations: { 'proxy.istio.io/health-checks-enabled': 'true' } },
    spec: { address: '192.0.2.1' },
  } as GenericObject);
  using one = await rig(cluster);
  const vm = peer({ AUTO_REGISTER_GROUP: '', WORKLOAD_ENTRY: 'vm-1' });
  one.registration.opened(vm);
  one.registration.reported(vm, 'port 5432 refuses');
  const told = () =>
    (stored(cluster, 'vm-1')?.status?.['conditions'] as { status: string; message: string }[] | undefined) ?? [];
  await until('the condition', () => told()[0]?.status === 'False');
  match(told()[0]!.message, /5432 refuses/);
  one.registration.reported(vm, undefined);
  await until('the recovery', () => told()[0]?.status === 'True');
  one.registration.closed(vm);
  await until('silence', () => told().length === 0);
  ok(stored(cluster, 'vm-1'), 'its entry is its owner’s');
});

test('only a proven identity of the group’s namespace and account registers', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(GROUPS, group());
  using one = await rig(cluster);
  const judge = (more: Record<string, string>, identity: string): string => {
    const verdict = one.registration.judge(peer(more), { ok: true, identity });
    return verdict.ok ? 'ok' : verdict.reason;
  };
  const good = 'spiffe://cluster.local/ns/shop/sa/db';
  equal(judge({}, good), 'ok');
  match(judge({ AUTO_REGISTER_GROUP: 'none' }, good), /WorkloadGroup shop\/none does not exist/);
  match(judge({ AUTO_REGISTER_GROUP: '', WORKLOAD_ENTRY: 'none' }, good), /WorkloadEntry shop\/none does not exist/);
  match(judge({}, ''), /proven identity only/);
  match(judge({}, 'spiffe://cluster.local/ns/depot/sa/db'), /may not register in namespace shop/);
  match(judge({}, 'spiffe://cluster.local/ns/shop/sa/front'), /is not the service account db/);
});

test('entries that nobody answers for are told from those that are in use', () => {
  const rules = { graceMs: 1_000, maxAgeMs: 10_000 };
  const entry = (annotations: Record<string, string>) => ({ metadata: { name: 'x', annotations } });
  const auto = { 'istio.io/autoRegistrationGroup': 'db' };
  const at = (ms: number) => new Date(ms).toISOString();
  equal(isAbandoned(entry({ ...auto, 'istio.io/disconnectedAt': at(0) }), rules, 2_000), true);
  equal(isAbandoned(entry({ ...auto, 'istio.io/disconnectedAt': at(1_500) }), rules, 2_000), false);
  equal(isAbandoned(entry({ ...auto, 'istio.io/connectedAt': at(0) }), rules, 14_000), false);
  equal(isAbandoned(entry({ ...auto, 'istio.io/connectedAt': at(0) }), rules, 16_000), true);
  equal(isAbandoned(entry({ 'istio.io/connectedAt': at(0) }), rules, 99_000), false);
});

test('over its stream a machine registers, and istiod tells the mesh of it', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  const template = { labels: { app: 'zt' } };
  cluster.api.put(GROUPS, {
    metadata: { namespace: 'istio-system', name: 'vms', uid: 'u' },
    spec: { template },
  } as GenericObject);
  await using istiod = await startApp(cluster);
  await using machine = connect(cluster, istiod.app.ports.secureGrpc, { metadata: { AUTO_REGISTER_GROUP: 'vms' } });
  await machine.client.whenSynced();
  await until('itself', () =>
    machine.held.has('Kubernetes/networking.istio.io/WorkloadEntry/istio-system/vms-10.1.0.2'),
  );
});
