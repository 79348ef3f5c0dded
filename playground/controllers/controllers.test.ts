// SPDX-License-Identifier: Apache-2.0
// All controllers against the real API server, with a kubelet that only says that pods run.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { TestApi } from '#lib/testkit/api-server.ts';
import { type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../api/json.ts';
import { startControllers } from './app.ts';

const SHOP = '/api/v1/namespaces/shop';
const APPS = '/apis/apps/v1/namespaces/shop';
const log = createLogger({ scope: 'test', level: 'off' });
let api: TestApi;
let client: KubeClient;
let stop: () => void;
/** Names of pods that never get ready. */
const stuck = new Set<string>();
let kubelet = true;

before(async () => {
  api = await TestApi.start();
  client = connectKube({ kubeconfig: api.kubeconfig });
  stop = await startControllers({ client, clock: systemClock, random: Math.random, log, caCert: 'CA' });
  for (const name of ['n1', 'n2']) {
    await api.ok('POST', '/api/v1/nodes', { body: { metadata: { name } } });
    await api.ok('PATCH', `/api/v1/nodes/${name}/status`, {
      body: { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    });
  }
  await api.ok('POST', '/api/v1/namespaces', { body: { metadata: { name: 'shop' } } });
  void runKubelet();
});
after(async () => {
  kubelet = false;
  stop();
  await client.close();
  await api.close();
});

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const pods = async (selector = ''): Promise<KubeObject[]> =>
  listAt(await api.ok('GET', `${SHOP}/pods?labelSelector=${encodeURIComponent(selector)}`), 'items') as KubeObject[];

/** Says that bound pods run, and lets deleted ones go. */
async function runKubelet(): Promise<void> {
  for (let turn = 1; kubelet; turn++) {
    for (const pod of await pods().catch((): KubeObject[] => [])) {
      const path = `${SHOP}/pods/${pod.metadata.name}`;
      if (pod.metadata.deletionTimestamp) await api.call('DELETE', path, { body: { gracePeriodSeconds: 0 } });
      else if (textAt(pod, 'spec', 'nodeName') && textAt(pod, 'status', 'phase') === 'Pending') {
        const podIP = `10.0.0.${turn % 250}`;
        const job = pod.metadata.labels?.['job-name'] !== undefined;
        const ready = !job && !stuck.has(textAt(pod, 'spec', 'containers', 0, 'image') ?? '');
        const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
        await api.call('PATCH', `${path}/status`, {
          body: { status: { phase: job ? 'Succeeded' : 'Running', podIP, podIPs: [{ ip: podIP }], conditions } },
        });
      }
    }
    await delay(20);
  }
}

async function until(what: string, test: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 90_000;
  while (!(await test())) {
    if (performance.now() > deadline) assert.fail(`not within 90 s: ${what}`);
    await delay(25);
  }
}

const workload = (name: string, image: string, more: JsonObject): JsonObject => ({
  metadata: { name, namespace: 'shop' },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } },
    ...more,
  },
});
const setImage = (path: string, image: string): Promise<JsonObject> =>
  api.ok('PATCH', path, { body: { spec: { template: { spec: { containers: [{ name: 'c', image }] } } } } });
const images = async (app: string): Promise<string[]> =>
  (await pods(`app=${app}`))
    .filter((pod) => !pod.metadata.deletionTimestamp)
    .map((pod) => textAt(pod, 'spec', 'containers', 0, 'image') ?? '');

test('a Deployment runs its pods on both nodes, rolls to a new template, and waits when it does not get ready', async () => {
  const path = `${APPS}/deployments/web`;
  await api.ok('POST', `${APPS}/deployments`, { body: workload('web', 'web:1', { replicas: 4 }) });
  const available = async (): Promise<unknown> => objectAt(await api.ok('GET', path), 'status')['availableReplicas'];
  await until('four are available', async () => (await available()) === 4);
  const nodes = (await pods('app=web')).map((pod) => textAt(pod, 'spec', 'nodeName'));
  assert.deepEqual(nodes.sort(), ['n1', 'n1', 'n2', 'n2']);
  await setImage(path, 'web:2');
  await until('all are new', async () => (await images('web')).join() === 'web:2,web:2,web:2,web:2');
  stuck.add('web:3');
  await setImage(path, 'web:3');
  await until('some are stuck', async () => (await images('web')).includes('web:3'));
  assert.ok(Number(await available()) >= 3, 'three of four stay available');
});

test('endpoints follow pods and a Service finds them', async () => {
  await api.ok('POST', `${SHOP}/services`, {
    body: { metadata: { name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } },
  });
  await until('ready addresses are listed', async () => {
    const [subset] = listAt(await api.call('GET', `${SHOP}/endpoints/web`).then(({ body }) => body), 'subsets');
    return listAt(subset, 'addresses').length >= 3;
  });
  const slices = await api.ok(
    'GET',
    '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb',
  );
  assert.ok(listAt(slices, 'items').flatMap((slice) => listAt(slice, 'endpoints')).length >= 3);
});

test('a DaemonSet with surge starts the new pod of a node before it ends the old one', async () => {
  const path = `${APPS}/daemonsets/agent`;
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
  await api.ok('POST', `${APPS}/daemonsets`, { body: workload('agent', 'agent:1', { updateStrategy }) });
  await until(
    'both nodes have one',
    async () => objectAt(await api.ok('GET', path), 'status')['numberAvailable'] === 2,
  );
  await setImage(path, 'agent:2');
  await until('both are new', async () => {
    assert.ok((await images('agent')).length >= 2, 'a node was left without');
    return (await images('agent')).join() === 'agent:2,agent:2';
  });
});

test('a StatefulSet makes its pods in order, and a Job ends', async () => {
  await api.ok('POST', `${APPS}/statefulsets`, { body: workload('db', 'db:1', { serviceName: 'db', replicas: 2 }) });
  await until(
    'two are ready',
    async () => objectAt(await api.ok('GET', `${APPS}/statefulsets/db`), 'status')['readyReplicas'] === 2,
  );
  const made = await pods('app=db');
  assert.deepEqual(
    made.map((pod) => pod.metadata.name),
    ['db-0', 'db-1'],
  );
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'job:1' }] } };
  const jobs = '/apis/batch/v1/namespaces/shop/jobs';
  await api.ok('POST', jobs, { body: { metadata: { name: 'once' }, spec: { completions: 2, template } } });
  await until('the job is complete', async () => {
    const conditions = listAt(await api.ok('GET', `${jobs}/once`), 'status', 'conditions');
    return conditions.some((item) => textAt(item, 'type') === 'Complete');
  });
});

test('a deleted namespace ends with everything in it', async () => {
  assert.equal(textAt(await api.ok('GET', `${SHOP}/configmaps/kube-root-ca.crt`), 'data', 'ca.crt'), 'CA');
  await api.ok('DELETE', '/api/v1/namespaces/shop');
  await until('it is gone', async () => (await api.call('GET', '/api/v1/namespaces/shop')).status === 404);
  assert.deepEqual(await pods(), []);
  assert.deepEqual((await api.ok('GET', '/apis/apps/v1/replicasets'))['items'], []);
});
