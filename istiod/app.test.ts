// SPDX-License-Identifier: Apache-2.0
// istiod as a whole, against a fake Kubernetes API, on loopback.

import { equal, match, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { ConfigMap, Pod } from '#lib/kube/object.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { DeltaClient } from '#lib/xds/client.ts';
import { makeNode } from '#lib/xds/node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { App } from './app.ts';
import { readConfig } from './config.ts';

const NAMESPACES = '/api/v1/namespaces';
const MAPS = '/api/v1/configmaps';

const any = '127.0.0.1:0';
const FLAGS = { httpAddr: any, grpcAddr: any, secureGRPCAddr: any, monitoringAddr: any, shutdownDuration: '100ms' };
const ENV: Record<string, string> = { ISTIOD_CUSTOM_HOST: 'localhost', ROOT_CA_DIR: '/nonexistent' };
const ZTUNNEL: Pod = {
  metadata: { namespace: 'istio-system', name: 'zt-1', uid: 'uid-zt-1' },
  spec: { nodeName: 'n1', serviceAccountName: 'ztunnel' },
  status: { phase: 'Running', podIP: '10.1.0.2', podIPs: [{ ip: '10.1.0.2' }] },
};

function populate(cluster: FakeCluster): void {
  for (const name of ['istio-system', 'shop']) cluster.api.put(NAMESPACES, { metadata: { name } });
  cluster.api.put('/api/v1/pods', ZTUNNEL);
  cluster.api.tokens.set('zt', {
    authenticated: true,
    audiences: ['istio-ca'],
    user: {
      username: 'system:serviceaccount:istio-system:ztunnel',
      groups: ['system:serviceaccounts'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['zt-1'],
        'authentication.kubernetes.io/pod-uid': ['uid-zt-1'],
      },
    },
  });
}

async function startApp(cluster: FakeCluster, lines: string[] = []) {
  const app = await App.start(
    {
      config: readConfig(FLAGS, (name) => ENV[name]),
      client: cluster.client,
      clock: systemClock,
      random: Math.random,
      log: createLogger({ scope: 'istiod', write: (line) => lines.push(line) }),
    },
    new AbortController().signal,
  );
  const get = async (port: keyof App['ports'], path: string) => {
    const answer = await fetch(`http://127.0.0.1:${app.ports[port]}${path}`);
    return { status: answer.status, body: await answer.text() };
  };
  return { app, lines, get, [Symbol.asyncDispose]: () => app.stop() };
}

/** A node proxy's stream over the TLS port. */
function connect(cluster: FakeCluster, port: number, options: { token?: string; namespace?: string } = {}) {
  const held = new Map<string, Uint8Array>();
  const handle = (resources: readonly { name: string; value: Uint8Array }[], removed: readonly string[]) => {
    for (const { name, value } of resources) held.set(name, value);
    for (const name of removed) held.delete(name);
    return [];
  };
  const lines: string[] = [];
  const namespace = options.namespace ?? 'istio-system';
  const client = new DeltaClient({
    endpoint: {
      target: `localhost:${port}`,
      rootCertificates: async () => Buffer.from(rootIn(cluster, 'istio-system') ?? ''),
      headers: async () => ({ authorization: `Bearer ${options.token ?? 'zt'}`, clusterid: 'Kubernetes' }),
    },
    node: makeNode({ type: 'ztunnel', ip: '10.1.0.2', name: 'zt-1', namespace }, 'cluster.local', { NODE_NAME: 'n1' }),
    subscriptions: [ADDRESS_TYPE, AUTHORIZATION_TYPE].map((typeUrl) => ({ typeUrl, mode: 'wildcard', handle })),
    clock: systemClock,
    log: createLogger({ scope: 'xds', write: (line) => lines.push(line) }),
  });
  client.start();
  return { client, held, lines, [Symbol.asyncDispose]: () => client.stop() };
}

function rootIn(cluster: FakeCluster, namespace: string): string | undefined {
  return cluster.api.find<ConfigMap>(MAPS, namespace, 'istio-ca-root-cert')?.data?.['root-cert.pem'];
}

test('it becomes ready, puts its root into every namespace and serves its pages', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  equal((await istiod.get('http', '/ready')).body, 'ready\n');
  const root = await until('the root', () => rootIn(cluster, 'shop'));
  equal(new X509Certificate(root).ca, true);
  match((await istiod.get('monitoring', '/metrics')).body, /pilot_info\{version="/);
  match((await istiod.get('monitoring', '/version')).body, /"version"/);
  equal((await istiod.get('http', '/debug/syncz')).body, '[]\n');
  match((await istiod.get('http', '/debug/list')).body, /"configz"/);
});

test('a node proxy that trusts the root in its namespace gets in over TLS and shows as synced', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  await using ztunnel = connect(cluster, istiod.app.ports.secureGrpc);
  await ztunnel.client.whenSynced();
  const synced = await until('synced', async () => {
    const { body } = await istiod.get('http', '/debug/syncz');
    return !body.includes('"synced": false') && body.includes('zt-1.istio-system') ? body : undefined;
  });
  match(synced, /istio.workload.Address/);
  match((await istiod.get('monitoring', '/metrics')).body, /pilot_xds\{version="unknown"\} 1/);
});

test('a caller with a wrong token, or whose node is of another namespace, is refused with a line that names it', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  await using stranger = connect(cluster, istiod.app.ports.secureGrpc, { token: 'forged' });
  await until('the refusal', () => istiod.lines.some((line) => /stream refused.*unknown token/.test(line)));
  await until('the reason', () => stranger.lines.some((line) => line.includes('UNAUTHENTICATED')));
  await using liar = connect(cluster, istiod.app.ports.secureGrpc, { namespace: 'kube-system' });
  const line = await until('the second refusal', () => istiod.lines.find((text) => text.includes('kube-system')));
  match(
    line,
    /spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/ztunnel is not of the node's namespace \\"kube-system\\"/,
  );
  await until('the reason', () => liar.lines.some((text) => text.includes('PERMISSION_DENIED')));
});

test('after a restart the root is the same, so that nobody has to learn a new one', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  const first = await startApp(cluster);
  const root = await until('the root', () => rootIn(cluster, 'shop'));
  await first[Symbol.asyncDispose]();
  await using second = await startApp(cluster);
  equal((await second.get('http', '/ready')).status, 200);
  equal(rootIn(cluster, 'shop'), root);
  ok(second.lines.every((line) => !line.includes('made a new root')));
});

test('while the API server is away it waits, says so, and starts when it answers', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await cluster.api.stop();
  const lines: string[] = [];
  const stop = new AbortController();
  const config = readConfig({ ...FLAGS, httpAddr: '127.0.0.1:0' }, (name) => ENV[name]);
  const log = createLogger({ scope: 'istiod', write: (line) => lines.push(line) });
  const starting = App.start(
    { config, client: cluster.client, clock: systemClock, random: Math.random, log },
    stop.signal,
  );
  await until('a warning', () => lines.some((line) => line.includes('out of date until the API server answers')));
  await cluster.api.start();
  const app = await starting;
  await app.stop();
});
