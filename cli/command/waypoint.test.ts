// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { GenericObject } from '#lib/kube/object.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { runCli } from '../program.ts';

const GATEWAYS = '/apis/gateway.networking.k8s.io/v1/gateways';

function runner(cluster: FakeCluster) {
  return async (...argv: string[]) => {
    let out = '';
    const add = (text: string): void => {
      out += text;
    };
    const io = { env: () => undefined, out: add, err: add, color: false };
    const code = await runCli(['-c', cluster.kubeconfig, '-n', 'shop', 'waypoint', ...argv], io);
    return { code, out };
  };
}

function gateway(name: string, status: 'True' | 'False' = 'True', more: Partial<GenericObject> = {}): GenericObject {
  return {
    metadata: { name, namespace: 'shop', generation: 1, labels: {} },
    spec: { gatewayClassName: 'istio-waypoint' },
    status: { conditions: [{ type: 'Programmed', status, reason: 'R', message: 'M', observedGeneration: 1 }] },
    ...more,
  };
}

test('generate prints what apply applies', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  const { out } = await run('generate', '--name', 'w', '--for', 'all', '--revision', 'blue');
  const printed = parse(out) as GenericObject;
  equal((await run('apply', '--name', 'w', '--for', 'all', '--revision', 'blue')).out, 'waypoint shop/w applied\n');
  const applied = cluster.api.find<GenericObject>(GATEWAYS, 'shop', 'w');
  for (const object of [printed, applied]) {
    equal(object?.spec?.['gatewayClassName'], 'istio-waypoint');
    equal(JSON.stringify(object?.spec?.['listeners']), '[{"name":"mesh","port":15008,"protocol":"HBONE"}]');
    equal(JSON.stringify(object?.metadata.labels), '{"istio.io/waypoint-for":"all","istio.io/rev":"blue"}');
  }
});

test('a waypoint may be of our own class, beside an Istio', async () => {
  await using cluster = await fakeCluster();
  const { out } = await runner(cluster)('generate', '--class', 'ambit-waypoint');
  equal((parse(out) as GenericObject).spec?.['gatewayClassName'], 'ambit-waypoint');
});

test('enrolling labels the namespace, and takes it from another waypoint only when told to', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  const put = (labels: Record<string, string>) =>
    cluster.api.put('/api/v1/namespaces', { metadata: { name: 'shop', labels } });
  const used = () =>
    cluster.api.find('/api/v1/namespaces', undefined, 'shop')?.metadata.labels?.['istio.io/use-waypoint'];
  put({});
  match(
    (await run('apply', '--enroll-namespace')).out,
    /labeled with "istio.io\/use-waypoint: waypoint"[\s\S]*not in the mesh/,
  );
  equal(used(), 'waypoint');
  await rejects(run('apply', '--name', 'w', '--enroll-namespace'), /uses waypoint waypoint/);
  equal(cluster.api.find(GATEWAYS, 'shop', 'w'), undefined);
  await run('apply', '--name', 'w', '--enroll-namespace', '--overwrite');
  equal(used(), 'w');
});

test('waiting ends when the waypoint is programmed, or tells what is missing', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  cluster.api.put(GATEWAYS, gateway('w', 'False'));
  await rejects(run('apply', '--name', 'w', '--wait', '--waypoint-timeout', '10ms'), /not ready after 0.01 s: R: M/);
  cluster.api.put(GATEWAYS, gateway('w'));
  match((await run('apply', '--name', 'w', '--wait')).out, /waypoint shop\/w is ready!/);
});

test('list and status show waypoints and no other Gateways', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  equal((await run('list')).out, 'No waypoints found.\n');
  cluster.api.put(GATEWAYS, gateway('w'));
  cluster.api.put(GATEWAYS, gateway('edge', 'True', { spec: { gatewayClassName: 'istio' } }));
  equal((await run('list')).out, 'NAME  REVISION  TRAFFIC TYPE  PROGRAMMED\nw     default   service       True\n');
  match((await run('list', '-A')).out, /^NAMESPACE +NAME[\s\S]*\nshop +w /);
  match((await run('status')).out, /^NAME {2}STATUS {2}TYPE {8}REASON {2}MESSAGE\nw {5}True {4}Programmed {2}R {7}M\n/);
});

test('status tells a waypoint that is programmed and has nobody there from one that has', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  cluster.api.put(GATEWAYS, gateway('w'));
  const refused = 'what uses it is refused until one is';
  match((await run('status')).out, new RegExp(`w +False +Ready +NoPods +0 of 0 pods ready: ${refused}`));
  const pod = (name: string, ready: 'True' | 'False', of = 'w') =>
    cluster.api.put('/api/v1/pods', {
      metadata: { name, namespace: 'shop', labels: { 'gateway.networking.k8s.io/gateway-name': of } },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready }] },
    });
  pod('other', 'True', 'other');
  pod('w-1', 'False');
  match(
    (await run('status')).out,
    new RegExp(`w +False +Ready +NoPodReady +0 of 1 pods ready, w-1 is Running: ${refused}`),
  );
  pod('w-2', 'True');
  match((await run('status')).out, /w +True +Ready +PodsReady +1 of 2 pods ready\n/);
});

test('list and status speak to programs, too', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  equal((await run('list', '-o', 'json')).out, '[]\n');
  cluster.api.put(GATEWAYS, gateway('w'));
  const listed = { namespace: 'shop', name: 'w', revision: 'default', trafficType: 'service', programmed: 'True' };
  deepEqual(JSON.parse((await run('list', '-o', 'json')).out), [listed]);
  deepEqual(parse((await run('list', '-A', '-o', 'yaml')).out), [listed]);
  const told = { namespace: 'shop', name: 'w', status: 'True', type: 'Programmed', reason: 'R', message: 'M' };
  const [programmed, ready] = JSON.parse((await run('status', 'w', '-o', 'json')).out) as Record<string, string>[];
  deepEqual(programmed, told);
  deepEqual([ready?.['type'], ready?.['status'], ready?.['name']], ['Ready', 'False', 'w']);
});

test('the status of a waypoint that is not there is a failure', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  cluster.api.put(GATEWAYS, gateway('w'));
  const missing = { code: 'WAYPOINT_NOT_FOUND', message: 'there is no waypoint x in namespace shop' };
  await rejects(run('status', 'x'), missing);
  await rejects(run('status', 'x', '--no-wait', '-A'), /no waypoint x in any namespace/);
});

test('a status older than the Gateway does not count', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(GATEWAYS, gateway('w', 'True', { metadata: { name: 'w', namespace: 'shop', generation: 2 } }));
  match((await runner(cluster)('status', '--no-wait')).out, /w +Unknown/);
});

test('delete takes names, all, or a revision, and says which are not there', async () => {
  await using cluster = await fakeCluster();
  const run = runner(cluster);
  await rejects(run('delete'), /no waypoint is named/);
  for (const name of ['a', 'b', 'c']) cluster.api.put(GATEWAYS, gateway(name));
  equal((await run('delete', 'a', 'x')).out, 'waypoint shop/a deleted\nwaypoint shop/x not found\n');
  equal((await run('delete', '--revision', 'blue')).out, '');
  equal((await run('delete', '--all')).out, 'waypoint shop/b deleted\nwaypoint shop/c deleted\n');
});

test('a waypoint cannot be called none', async () => {
  await using cluster = await fakeCluster();
  await rejects(runner(cluster)('generate', '--name', 'none'), /cannot be called none/);
});
