// SPDX-License-Identifier: Apache-2.0
// Custom resources and admission webhooks through the real server.
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { TestApi } from '#lib/testkit/api-server.ts';
import { Pki } from './auth/pki.ts';
import { at, type JsonObject, listAt, textAt } from './json.ts';

let api: TestApi;
before(async () => {
  api = await TestApi.start();
});
after(() => api.close());

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const TABS = '/apis/example.com/v1/namespaces/default/tabs';
const spec = {
  type: 'object',
  required: ['cron'],
  properties: {
    cron: { type: 'string', pattern: '^\\*' },
    replicas: { type: 'integer', default: 1, minimum: 1 },
    mode: { type: 'string', enum: ['On', 'Off'] },
    open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    items: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: { type: 'object', properties: { name: { type: 'string' }, size: { type: 'integer', default: 3 } } },
    },
  },
};
const version = (name: string, storage: boolean): JsonObject => ({
  name,
  served: true,
  storage,
  subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
  additionalPrinterColumns: [{ name: 'Cron', type: 'string', jsonPath: '.spec.cron' }],
  schema: {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec, status: { type: 'object', properties: { replicas: { type: 'integer' } } } },
    },
  },
});
const crd: JsonObject = {
  metadata: { name: 'tabs.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'tabs', kind: 'Tab', shortNames: ['tb'] },
    versions: [version('v1', true), version('v1beta1', false)],
  },
};
const tab = (name: string, more: JsonObject): JsonObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Tab',
  metadata: { name },
  spec: more,
});

test('a CRD is established, served in each version, and its objects are defaulted, pruned and checked', async () => {
  await api.ok('POST', CRDS, { body: crd });
  const established = await api.ok('GET', `${CRDS}/tabs.example.com`);
  assert.deepEqual(
    listAt(established, 'status', 'conditions').map((item) => `${textAt(item, 'type')}=${textAt(item, 'status')}`),
    ['NamesAccepted=True', 'Established=True'],
  );
  const made = await api.ok('POST', TABS, {
    body: tab('a', { cron: '* *', bogus: 1, open: { any: { thing: true } }, items: [{ name: 'x' }] }),
  });
  assert.deepEqual(made['spec'], {
    cron: '* *',
    open: { any: { thing: true } },
    items: [{ name: 'x', size: 3 }],
    replicas: 1,
  });
  const wrong = await api.call('POST', TABS, {
    body: tab('b', { cron: 'x', replicas: 0, mode: 'Maybe', items: [{ name: 'x' }, { name: 'x' }] }),
  });
  assert.equal(wrong.status, 422);
  assert.deepEqual(
    listAt(wrong.body, 'details', 'causes').map((item) => textAt(item, 'field')),
    ['spec.cron', 'spec.replicas', 'spec.mode', 'spec.items[1]'],
  );
  const missing = await api.call('POST', TABS, { body: tab('c', {}) });
  assert.match(textAt(missing.body, 'message') ?? '', /spec\.cron: Required value/);
  const beta = await api.ok('GET', TABS.replace('/v1/', '/v1beta1/'));
  assert.deepEqual(
    [beta['apiVersion'], textAt(beta, 'items', 0, 'apiVersion')],
    ['example.com/v1beta1', 'example.com/v1beta1'],
  );
});

test('its status and scale are halves of their own, and its columns are printed', async () => {
  const status = await api.ok('PATCH', `${TABS}/a/status`, {
    body: { status: { replicas: 4 }, spec: { cron: '* never' } },
  });
  assert.deepEqual(
    [at(status, 'status', 'replicas'), at(status, 'spec', 'cron'), at(status, 'metadata', 'generation')],
    [4, '* *', 1],
  );
  const scaled = await api.ok('PATCH', `${TABS}/a/scale`, { body: { spec: { replicas: 2 } } });
  assert.deepEqual([at(scaled, 'spec', 'replicas'), at(scaled, 'status', 'replicas')], [2, 4]);
  const table = await api.ok('GET', TABS, { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } });
  assert.deepEqual(listAt(table, 'rows', 0, 'cells'), ['a', '* *']);
});

test('discovery and OpenAPI name the new kind', async () => {
  const list = await api.ok('GET', '/apis/example.com/v1');
  assert.deepEqual(
    listAt(list, 'resources').map((item) => textAt(item, 'name')),
    ['tabs', 'tabs/status', 'tabs/scale'],
  );
  const document = await api.ok('GET', '/openapi/v3/apis/example.com/v1');
  assert.equal(
    at(document, 'components', 'schemas', 'com.example.v1.Tab', 'properties', 'spec', 'properties', 'mode', 'enum', 0),
    'On',
  );
});

test('server-side apply merges keyed lists of custom resources', async () => {
  const apply = (manager: string, items: JsonObject[]): Promise<JsonObject> =>
    api.ok('PATCH', `${TABS}/applied?fieldManager=${manager}`, {
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body: tab('applied', { cron: '*', items }),
    });
  await apply('one', [{ name: 'x', size: 1 }]);
  const both = await apply('two', [{ name: 'y', size: 2 }]);
  assert.deepEqual(
    listAt(both, 'spec', 'items').map((item) => textAt(item, 'name')),
    ['x', 'y'],
  );
  const one = await apply('one', []);
  assert.deepEqual(
    listAt(one, 'spec', 'items').map((item) => textAt(item, 'name')),
    ['y'],
  );
});

test('webhooks change, refuse, and are missed only as their failure policy says', async () => {
  const pki = await Pki.open(undefined, () => systemClock.now());
  const { cert, key } = await pki.issueServer('hook', ['127.0.0.1'], systemClock.now());
  const server = createServer({ cert, key }, (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    request.on('end', () => {
      const review = JSON.parse(text) as JsonObject;
      const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/data', value: { hooked: 'yes' } }])).toString(
        'base64',
      );
      const allowed = textAt(review, 'request', 'name') !== 'bad';
      const answer =
        request.url === '/mutate'
          ? { allowed: true, patchType: 'JSONPatch', patch }
          : { allowed, status: { message: 'it is bad' } };
      response.end(JSON.stringify({ ...review, response: { uid: textAt(review, 'request', 'uid')!, ...answer } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const hook = (path: string, policy: string): JsonObject => ({
      name: `${path}.example.com`,
      clientConfig: { url: `https://127.0.0.1:${port}/${path}`, caBundle: Buffer.from(pki.caCert).toString('base64') },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
      objectSelector: { matchLabels: { hooked: 'yes' } },
      failurePolicy: policy,
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    });
    const group = '/apis/admissionregistration.k8s.io/v1';
    await api.ok('POST', `${group}/mutatingwebhookconfigurations`, {
      body: { metadata: { name: 'm' }, webhooks: [hook('mutate', 'Ignore')] },
    });
    await api.ok('POST', `${group}/validatingwebhookconfigurations`, {
      body: { metadata: { name: 'v' }, webhooks: [hook('validate', 'Fail')] },
    });
    const create = (name: string, labels: JsonObject = { hooked: 'yes' }) =>
      api.call('POST', '/api/v1/namespaces/default/configmaps', { body: { metadata: { name, labels } } });
    assert.deepEqual((await create('good')).body['data'], { hooked: 'yes' });
    assert.equal((await create('plain', {})).body['data'], undefined);
    const refused = await create('bad');
    assert.equal(refused.status, 403);
    assert.equal(
      textAt(refused.body, 'message'),
      'admission webhook "validate.example.com" denied the request: it is bad',
    );
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    const away = await create('away');
    assert.equal(away.status, 500);
    assert.match(textAt(away.body, 'message') ?? '', /failed calling webhook "validate\.example\.com"/);
  } finally {
    server.close();
  }
});

test('a deleted CRD takes its objects along', async () => {
  await api.ok('DELETE', `${CRDS}/tabs.example.com`);
  assert.equal((await api.call('GET', TABS)).status, 404);
  await api.ok('POST', CRDS, { body: crd });
  assert.deepEqual((await api.ok('GET', TABS))['items'], []);
});
