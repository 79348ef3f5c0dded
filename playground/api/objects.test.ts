// SPDX-License-Identifier: Apache-2.0
// Objects through the real server: created, changed, listed, deleted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestApi } from '#lib/testkit/api-server.ts';
import { at, type JsonObject, listAt, textAt } from './json.ts';

let api: TestApi;
before(async () => {
  api = await TestApi.start();
});
after(() => api.close());

const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const map = (name: string, data: JsonObject = {}, labels: JsonObject = {}): JsonObject => ({
  metadata: { name, labels },
  data,
});
const pod = (name: string, more: JsonObject = {}): JsonObject => ({
  metadata: { name },
  spec: { containers: [{ name: 'app', image: 'app:1' }], ...more },
});
const account = (name: string): Promise<JsonObject> =>
  api.ok('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name } } });

test('a created object gets identity, defaults and an owner of its fields', async () => {
  const made = await api.ok('POST', `${MAPS}?fieldManager=me`, { body: map('identity', { a: '1' }) });
  assert.match(textAt(made, 'metadata', 'uid') ?? '', /^[0-9a-f-]{36}$/);
  assert.match(textAt(made, 'metadata', 'creationTimestamp') ?? '', /^\d{4}-.*Z$/);
  const [fields] = listAt(made, 'metadata', 'managedFields');
  assert.equal(textAt(fields, 'manager'), 'me');
  assert.deepEqual(at(fields, 'fieldsV1', 'f:data'), { 'f:a': {} });
  const twice = await api.call('POST', MAPS, { body: map('identity') });
  assert.equal(twice.status, 409);
  assert.equal(twice.body['reason'], 'AlreadyExists');
});

test('an update with an old version conflicts, and one that changes nothing makes no new version', async () => {
  const first = await api.ok('POST', MAPS, { body: map('stale', { a: '1' }) });
  const second = await api.ok('PUT', `${MAPS}/stale`, { body: { ...first, data: { a: '2' } } });
  const late = await api.call('PUT', `${MAPS}/stale`, { body: { ...first, data: { a: '3' } } });
  assert.equal(late.status, 409);
  const same = await api.ok('PUT', `${MAPS}/stale`, { body: second });
  assert.equal(textAt(same, 'metadata', 'resourceVersion'), textAt(second, 'metadata', 'resourceVersion'));
});

test('a core object may be applied with its group’s empty name before the version', async () => {
  const applied = await api.ok('PATCH', `${MAPS}/slash?fieldManager=me`, {
    body: { apiVersion: '/v1', kind: 'ConfigMap', metadata: { name: 'slash' }, data: { a: '1' } },
    headers: { 'content-type': 'application/apply-patch+yaml' },
  });
  assert.equal(applied['apiVersion'], 'v1');
  const [fields] = listAt(applied, 'metadata', 'managedFields');
  assert.equal(textAt(fields, 'apiVersion'), 'v1');
});

test('a status update changes only the status, a plain one everything else, and only the latter a generation', async () => {
  const path = '/apis/apps/v1/namespaces/default/deployments';
  const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'app', image: 'app:1' }] } };
  const spec = { selector: { matchLabels: { app: 'x' } }, template };
  const made = await api.ok('POST', path, { body: { metadata: { name: 'halves' }, spec, status: { replicas: 7 } } });
  assert.equal(at(made, 'status', 'replicas'), undefined);
  assert.equal(at(made, 'spec', 'strategy', 'rollingUpdate', 'maxSurge'), '25%');
  const body = { spec: { replicas: 5 }, status: { replicas: 3 } };
  const status = await api.ok('PATCH', `${path}/halves/status`, { body });
  assert.deepEqual(
    [at(status, 'spec', 'replicas'), at(status, 'status', 'replicas'), at(status, 'metadata', 'generation')],
    [1, 3, 1],
  );
  const plain = await api.ok('PATCH', `${path}/halves`, { body: { ...body, status: { replicas: 9 } } });
  assert.deepEqual(
    [at(plain, 'spec', 'replicas'), at(plain, 'status', 'replicas'), at(plain, 'metadata', 'generation')],
    [5, 3, 2],
  );
  const scale = await api.ok('PATCH', `${path}/halves/scale`, { body: { spec: { replicas: 2 } } });
  assert.deepEqual(
    [scale['kind'], at(scale, 'spec', 'replicas'), at(scale, 'status', 'selector')],
    ['Scale', 2, 'app=x'],
  );
  const other = { ...plain, spec: { ...spec, selector: { matchLabels: { app: 'y' } } } } as JsonObject;
  delete (other['metadata'] as JsonObject)['resourceVersion'];
  const refused = await api.call('PUT', `${path}/halves`, { body: other });
  assert.equal(refused.status, 422);
  assert.match(textAt(refused.body, 'message') ?? '', /spec\.selector.*field is immutable/);
});

test('unknown fields are refused, warned of or dropped as the request asks', async () => {
  const body = { ...pod('unknown'), spec: { containers: [{ name: 'app', image: 'a:1', imag: 'b' }] } };
  const strict = await api.call('POST', `${PODS}?fieldValidation=Strict&dryRun=All`, { body });
  assert.equal(strict.status, 400);
  assert.match(textAt(strict.body, 'message') ?? '', /unknown field "spec\.containers\[0\]\.imag"/);
  await account('default');
  const warned = await api.call('POST', `${PODS}?dryRun=All`, { body });
  assert.equal(warned.status, 201);
  assert.match(String(warned.headers['warning']), /unknown field/);
  const wrong = await api.call('POST', PODS, { body: pod('wrong', { hostNetwork: 'yes' }) });
  assert.match(textAt(wrong.body, 'message') ?? '', /spec\.hostNetwork: expected boolean, got string/);
});

test('lists are paged over one snapshot, and selected by labels and fields', async () => {
  for (const name of ['page-a', 'page-b', 'page-c'])
    await api.ok('POST', MAPS, { body: map(name, {}, { page: name.slice(5) }) });
  const names = (list: JsonObject): string[] =>
    listAt(list, 'items').map((item) => textAt(item, 'metadata', 'name') ?? '');
  const query = 'labelSelector=page&limit=2';
  const first = await api.ok('GET', `${MAPS}?${query}`);
  assert.deepEqual(names(first), ['page-a', 'page-b']);
  assert.equal(at(first, 'metadata', 'remainingItemCount'), 1);
  await api.ok('DELETE', `${MAPS}/page-c`);
  const second = await api.ok('GET', `${MAPS}?${query}&continue=${textAt(first, 'metadata', 'continue')}`);
  assert.deepEqual(names(second), ['page-c']);
  assert.deepEqual(names(await api.ok('GET', `${MAPS}?labelSelector=${encodeURIComponent('page in (a,b),page!=a')}`)), [
    'page-b',
  ]);
  assert.deepEqual(names(await api.ok('GET', `${MAPS}?fieldSelector=metadata.name%3Dpage-a`)), ['page-a']);
  assert.equal((await api.call('GET', `${MAPS}?fieldSelector=data.a%3D1`)).status, 400);
});

test('a finalizer holds a deletion until it is taken away', async () => {
  await api.ok('POST', MAPS, { body: { metadata: { name: 'held', finalizers: ['example.com/hold'] } } });
  const marked = await api.ok('DELETE', `${MAPS}/held`);
  assert.ok(textAt(marked, 'metadata', 'deletionTimestamp'));
  await api.ok('PATCH', `${MAPS}/held`, { body: { metadata: { finalizers: [] } } });
  assert.equal((await api.call('GET', `${MAPS}/held`)).status, 404);
});

test('a pod gets its account and token volume, is bound once, and goes when its kubelet says so', async () => {
  await account('runner');
  const made = await api.ok('POST', PODS, { body: pod('bound', { serviceAccountName: 'runner' }) });
  assert.match(textAt(made, 'spec', 'volumes', 0, 'name') ?? '', /^kube-api-access-/);
  assert.equal(
    textAt(made, 'spec', 'containers', 0, 'volumeMounts', 0, 'mountPath'),
    '/var/run/secrets/kubernetes.io/serviceaccount',
  );
  const binding = { target: { kind: 'Node', name: 'n1' } };
  await api.ok('POST', `${PODS}/bound/binding`, { body: binding });
  assert.equal((await api.call('POST', `${PODS}/bound/binding`, { body: binding })).status, 409);
  const marked = await api.ok('DELETE', `${PODS}/bound`);
  assert.equal(at(marked, 'metadata', 'deletionGracePeriodSeconds'), 30);
  await api.ok('DELETE', `${PODS}/bound`, { body: { gracePeriodSeconds: 0 } });
  assert.equal((await api.call('GET', `${PODS}/bound`)).status, 404);
});

test('a Service gets addresses of the families it asks for, and keeps them', async () => {
  const path = '/api/v1/namespaces/default/services';
  const spec = { ipFamilyPolicy: 'PreferDualStack', selector: { a: 'b' }, ports: [{ port: 80 }] };
  const made = await api.ok('POST', path, { body: { metadata: { name: 'dual' }, spec } });
  const addresses = listAt(made, 'spec', 'clusterIPs').map(String);
  assert.match(addresses[0]!, /^10\.96\./);
  assert.match(addresses[1]!, /^fd00:10:96::/);
  const body = { metadata: { name: 'dual' }, spec: { ...spec, ports: [{ port: 81 }] } };
  assert.deepEqual(at(await api.ok('PUT', `${path}/dual`, { body }), 'spec', 'clusterIPs'), addresses);
  const taken = { metadata: { name: 'taken' }, spec: { clusterIP: addresses[0]!, ports: [{ port: 80 }] } };
  assert.equal((await api.call('POST', path, { body: taken })).status, 422);
  const headless = { metadata: { name: 'headless' }, spec: { clusterIP: 'None', selector: { a: 'b' } } };
  assert.deepEqual(at(await api.ok('POST', path, { body: headless }), 'spec', 'clusterIPs'), ['None']);
});

test('kubectl gets a table, and a metadata client only metadata', async () => {
  const table = await api.ok('GET', '/api/v1/namespaces', {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' },
  });
  assert.equal(table['kind'], 'Table');
  assert.deepEqual(
    listAt(table, 'columnDefinitions').map((item) => textAt(item, 'name')),
    ['Name', 'Status', 'Age'],
  );
  assert.deepEqual(listAt(table, 'rows', 0, 'cells').slice(0, 2), ['default', 'Active']);
  const metadata = await api.ok('GET', '/api/v1/namespaces/default', {
    headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' },
  });
  assert.deepEqual([metadata['kind'], metadata['status']], ['PartialObjectMetadata', undefined]);
});

test('an event written to one group is read through the other', async () => {
  const body = {
    metadata: { name: 'e1', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'p' },
    message: 'hello',
    reason: 'Test',
  };
  await api.ok('POST', '/api/v1/namespaces/default/events', { body });
  const modern = await api.ok('GET', '/apis/events.k8s.io/v1/namespaces/default/events/e1');
  assert.deepEqual([modern['note'], textAt(modern, 'regarding', 'name')], ['hello', 'p']);
});
