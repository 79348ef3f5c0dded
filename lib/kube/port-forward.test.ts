// SPDX-License-Identifier: Apache-2.0
import { equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { serveHttp, text } from '#lib/kit/admin.ts';
import { describeError } from '#lib/kit/error.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { requestPod } from './port-forward.ts';
import { loadKubeConfig } from './transport.ts';

const POD = { namespace: 'istio-system', name: 'zt-1', port: 15000 };

test('a page of a pod is read through the API server, however large', async () => {
  await using cluster = await fakeCluster();
  const body = 'x'.repeat(3_000_000);
  await using admin = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    routes: { '/config_dump': () => text(body), '/echo': ({ body: sent, method }) => text(`${method} ${sent}`) },
  });
  cluster.api.forward = (path, port) =>
    path === '/api/v1/namespaces/istio-system/pods/zt-1/portforward' && port === 15000 ? admin.port : undefined;
  const config = loadKubeConfig({ kubeconfig: cluster.kubeconfig });
  equal((await requestPod(config, POD, { path: '/config_dump' })).body, body);
  equal((await requestPod(config, POD, { path: '/echo', method: 'POST', body: 'hello' })).body, 'POST hello');
  equal((await requestPod(config, POD, { path: '/nothing' })).status, 404);
});

test('a port on which nothing listens is named', async () => {
  await using cluster = await fakeCluster();
  const config = loadKubeConfig({ kubeconfig: cluster.kubeconfig });
  await rejects(requestPod(config, POD, { path: '/' }), (error) =>
    /port 15000 of pod istio-system\/zt-1: nothing listens on port 15000.*program is starting or has ended/s.test(
      describeError(error),
    ),
  );
});

test('an API server that is away is named', async () => {
  await using cluster = await fakeCluster();
  const config = loadKubeConfig({ kubeconfig: cluster.kubeconfig });
  await cluster.api.stop();
  await rejects(requestPod(config, POD, { path: '/' }), /cannot forward to port 15000 of pod istio-system\/zt-1/);
});

test('a pod that does not answer is given up after the deadline', async () => {
  await using cluster = await fakeCluster();
  await using admin = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    routes: { '/': () => new Promise<never>(() => undefined) },
  });
  cluster.api.forward = () => admin.port;
  const config = loadKubeConfig({ kubeconfig: cluster.kubeconfig });
  await rejects(requestPod(config, POD, { path: '/', timeoutMs: 50 }), /no answer within 50 ms/);
});
