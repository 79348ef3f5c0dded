// SPDX-License-Identifier: Apache-2.0
// A second cluster, named by a Secret of the first: its pods are of the mesh, its node proxies are let in, and it may
// go away and come back.

import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { GenericObject, Pod, Secret } from '#lib/kube/object.ts';
import { connect, populate, startApp } from '#lib/testkit/istiod.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { unsafeWays } from './remote-kubeconfig.ts';

const SECRETS = '/api/v1/secrets';
const PODS = '/api/v1/pods';

function secretOf(far: FakeCluster, id = 'far', text = far.api.kubeconfig) {
  return {
    metadata: { namespace: 'istio-system', name: 'istio-remote-secret-far', labels: { 'istio/multiCluster': 'true' } },
    data: { [id]: Buffer.from(text).toString('base64') },
  };
}

const cart = (ip: string): Pod => ({
  metadata: { namespace: 'shop', name: 'cart-1', uid: 'uid-far-cart', labels: {}, annotations: {} },
  spec: { nodeName: 'n1', serviceAccountName: 'cart' },
  status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: 'True' }] },
});

/** Names of the far cluster's workloads that istiod tells of. */
async function told(istiod: Awaited<ReturnType<typeof startApp>>): Promise<string[]> {
  const { body } = await istiod.get('http', '/debug/ambientz');
  const { workloads } = JSON.parse(body) as { workloads: { uid: string; addresses: string[] }[] };
  return workloads.filter(({ uid }) => uid.startsWith('far/')).map(({ addresses, uid }) => `${uid} ${addresses}`);
}

test('pods of a cluster that a Secret names are of the mesh, until the Secret goes', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  populate(near);
  far.api.put('/api/v1/namespaces', { metadata: { name: 'shop' } });
  far.api.put(PODS, cart('10.9.0.1'));
  near.api.put(SECRETS, secretOf(far));
  await using istiod = await startApp(near);
  deepEqual(await told(istiod), ['far//Pod/shop/cart-1 10.9.0.1'], 'the start waits for it');
  far.api.put(PODS, cart('10.9.0.2'));
  await until('the change', async () => (await told(istiod))[0]?.endsWith('10.9.0.2'));
  near.api.remove(SECRETS, 'istio-system', 'istio-remote-secret-far');
  await until('its end', async () => (await told(istiod)).length === 0);
});

test('clusters are listed with their Secret and how far they are, gateways to other networks with their addresses', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  populate(near);
  const gone = far.api.kubeconfig.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1');
  const { metadata, data } = secretOf(far);
  near.api.put(SECRETS, { metadata, data: { ...data, ...secretOf(far, 'gone', gone).data } } as Secret);
  near.api.put('/apis/gateway.networking.k8s.io/v1/gateways', {
    metadata: { namespace: 'shop', name: 'to-west', labels: { 'topology.istio.io/network': 'west' } },
    spec: { gatewayClassName: 'istio-remote', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
    status: { addresses: [{ type: 'IPAddress', value: '203.0.113.1' }] },
  } as GenericObject);
  await using istiod = await startApp(near, [], {}, { PILOT_REMOTE_CLUSTER_TIMEOUT: '1s' });
  const page = async (name: string) => JSON.parse((await istiod.get('http', `/debug/${name}`)).body) as object[];
  const secretName = 'istio-system/istio-remote-secret-far';
  // The start goes on without a cluster that takes its time, so one that is there may still be on its way.
  const clusters = await until('one that is there and one that is not', async () => {
    const found = await page('clusterz');
    return /synced.*synced.*timeout/.test(JSON.stringify(found)) && found;
  });
  deepEqual(clusters, [
    { id: 'Kubernetes', syncStatus: 'synced' },
    { id: 'far', secretName, syncStatus: 'synced' },
    { id: 'gone', secretName, syncStatus: 'timeout' },
  ]);
  match(JSON.stringify(await page('networkz')), /"network":"west".*203\.0\.113\.1/);
});

test('a cluster that goes away keeps its last state, is reported, and is caught up with when it is back', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  populate(near);
  far.api.put(PODS, cart('10.9.0.1'));
  near.api.put(SECRETS, secretOf(far));
  await using istiod = await startApp(near);
  await far.api.stop();
  await until('the report', async () => {
    const { body } = await istiod.get('monitoring', '/metrics');
    return /ambit_source_up\{source="far"\} 0/.test(body) && /ambit_source_up\{source="Kubernetes"\} 1/.test(body);
  });
  equal((await told(istiod)).length, 1);
  equal((await istiod.get('http', '/ready')).status, 200);
  far.api.put(PODS, cart('10.9.0.3'));
  await far.api.start();
  await until('the news', async () => (await told(istiod))[0]?.endsWith('10.9.0.3'));
});

test('new credentials take over once they have shown the cluster', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  await using elsewhere = await fakeCluster();
  populate(near);
  far.api.put(PODS, cart('10.9.0.1'));
  near.api.put(SECRETS, secretOf(far));
  await using istiod = await startApp(near);
  await elsewhere.api.stop();
  near.api.put(SECRETS, secretOf(elsewhere));
  await until('the second connection', () => istiod.lines.some((line) => /out of date until/.test(line)));
  deepEqual(await told(istiod), ['far//Pod/shop/cart-1 10.9.0.1'], 'the old state stays');
  elsewhere.api.put(PODS, { ...cart('10.9.0.9'), metadata: { ...cart('').metadata, name: 'cart-2' } });
  await elsewhere.api.start();
  await until('the new state', async () => (await told(istiod)).join() === 'far//Pod/shop/cart-2 10.9.0.9');
});

test('a node proxy of the other cluster shows a token of that cluster', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  populate(near);
  populate(far);
  near.api.tokens.delete('zt');
  near.api.put(SECRETS, secretOf(far));
  await using istiod = await startApp(near);
  await using stranger = connect(near, istiod.app.ports.secureGrpc);
  await until('the refusal', () => stranger.lines.some((line) => line.includes('UNAUTHENTICATED')));
  await using proxy = connect(near, istiod.app.ports.secureGrpc, { cluster: 'far' });
  await proxy.client.whenSynced();
});

test('our own id, and a kubeconfig that would run a program, join nothing', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  populate(near);
  far.api.put(PODS, cart('10.9.0.1'));
  near.api.put(SECRETS, secretOf(far, 'Kubernetes'));
  await using istiod = await startApp(near);
  near.api.put(SECRETS, secretOf(far, 'far', EXEC));
  const line = await until('the refusal', () => istiod.lines.find((text) => text.includes('cannot be connected to')));
  match(line, /kubeconfig uses exec, which is not allowed/);
  deepEqual(await told(istiod), []);
});

const EXEC = 'users: [{name: a, user: {exec: {command: /bin/true}}}]';

test('what a kubeconfig may not do is named', () => {
  deepEqual(unsafeWays(EXEC), ['exec']);
  const files = { 'client-certificate': '/a', 'client-key': '/b', tokenFile: '/c' };
  deepEqual(unsafeWays(JSON.stringify({ users: [{ user: files }] })), ['clientCertificate', 'clientKey', 'tokenFile']);
  deepEqual(unsafeWays('users: [{user: {auth-provider: {name: gcp}}}, {user: {auth-provider: {name: oidc}}}]'), [
    'gcp',
  ]);
  deepEqual(unsafeWays('users: [{user: {token: x, client-key-data: y}}]'), []);
});
