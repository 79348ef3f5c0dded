// SPDX-License-Identifier: Apache-2.0
// Who may do what: tokens, roles, impersonation, reviews.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestApi } from '#lib/testkit/api-server.ts';
import { at, type JsonObject, listAt, textAt } from './json.ts';

let api: TestApi;
before(async () => {
  api = await TestApi.start();
  for (const name of ['reader', 'default'])
    await api.ok('POST', `${CORE}/serviceaccounts`, { body: { metadata: { name } } });
});
after(() => api.close());

const CORE = '/api/v1/namespaces/default';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const READER = 'system:serviceaccount:default:reader';

const tokenOf = async (name: string, spec: JsonObject = {}): Promise<string> =>
  textAt(await api.ok('POST', `${CORE}/serviceaccounts/${name}/token`, { body: { spec } }), 'status', 'token')!;
const review = (token: string, audiences: string[] = []): Promise<JsonObject> =>
  api.ok('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body: { spec: { token, audiences } } });
const clusterRole = (name: string, rules: JsonObject[], labels: JsonObject = {}): Promise<JsonObject> =>
  api.ok('POST', `${RBAC}/clusterroles`, { body: { metadata: { name, labels }, rules } });
const subjects = [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }];

test('a role grants its verbs on its resources in its namespace and nothing else', async () => {
  const token = await tokenOf('reader');
  const get = (path: string): Promise<number> => api.call('GET', path, { token }).then(({ status }) => status);
  assert.equal(await get(`${CORE}/configmaps`), 403);
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }];
  await api.ok('POST', `${RBAC}/namespaces/default/roles`, { body: { metadata: { name: 'maps' }, rules } });
  const roleRef = { kind: 'Role', name: 'maps', apiGroup: 'rbac.authorization.k8s.io' };
  await api.ok('POST', `${RBAC}/namespaces/default/rolebindings`, {
    body: { metadata: { name: 'maps' }, roleRef, subjects },
  });
  assert.equal(await get(`${CORE}/configmaps`), 200);
  assert.equal(await get(`${CORE}/secrets`), 403);
  assert.equal(await get('/api/v1/namespaces/kube-system/configmaps'), 403);
  assert.equal(await get(`${CORE}/configmaps?watch=1`), 403);
  const denied = await api.call('POST', `${CORE}/configmaps`, { token, body: { metadata: { name: 'x' } } });
  assert.equal(
    textAt(denied.body, 'message'),
    `configmaps is forbidden: User "${READER}" cannot create resource "configmaps" in API group "" in the namespace "default"`,
  );
});

test('an aggregated role has the rules of the roles it selects, also of later ones', async () => {
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] };
  await api.ok('POST', `${RBAC}/clusterroles`, { body: { metadata: { name: 'whole' }, aggregationRule, rules: [] } });
  const roleRef = { kind: 'ClusterRole', name: 'whole' };
  await api.ok('POST', `${RBAC}/clusterrolebindings`, { body: { metadata: { name: 'whole' }, roleRef, subjects } });
  const token = await tokenOf('reader');
  assert.equal((await api.call('GET', '/api/v1/nodes', { token })).status, 403);
  await clusterRole('part', [{ apiGroups: [''], resources: ['nodes'], verbs: ['*'] }], { part: 'yes' });
  assert.equal((await api.call('GET', '/api/v1/nodes', { token })).status, 200);
});

test('a subresource and a named resource need rules of their own', async () => {
  const may = async (attributes: JsonObject): Promise<unknown> => {
    const body = { spec: { user: 'eve', resourceAttributes: { namespace: 'default', ...attributes } } };
    return at(
      await api.ok('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { body }),
      'status',
      'allowed',
    );
  };
  await clusterRole('narrow', [
    { apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] },
    { apiGroups: ['apps'], resources: ['daemonsets'], resourceNames: ['one'], verbs: ['get'] },
  ]);
  const roleRef = { kind: 'ClusterRole', name: 'narrow' };
  const body = { metadata: { name: 'narrow' }, roleRef, subjects: [{ kind: 'User', name: 'eve' }] };
  await api.ok('POST', `${RBAC}/clusterrolebindings`, { body });
  assert.equal(await may({ verb: 'patch', resource: 'pods', subresource: 'status' }), true);
  assert.equal(await may({ verb: 'patch', resource: 'pods' }), false);
  assert.equal(await may({ verb: 'get', group: 'apps', resource: 'daemonsets', name: 'one' }), true);
  assert.equal(await may({ verb: 'get', group: 'apps', resource: 'daemonsets', name: 'two' }), false);
});

test('a token is reviewed for its audience, names its pod, and dies with it', async () => {
  const spec = { serviceAccountName: 'reader', containers: [{ name: 'a', image: 'a:1' }] };
  const pod = await api.ok('POST', `${CORE}/pods`, { body: { metadata: { name: 'p' }, spec } });
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: textAt(pod, 'metadata', 'uid')! };
  const token = await tokenOf('reader', { audiences: ['istio-ca'], boundObjectRef });
  const good = await review(token, ['istio-ca', 'other']);
  assert.deepEqual(at(good, 'status', 'audiences'), ['istio-ca']);
  assert.equal(textAt(good, 'status', 'user', 'username'), READER);
  assert.deepEqual(at(good, 'status', 'user', 'extra', 'authentication.kubernetes.io/pod-name'), ['p']);
  assert.equal(at(await review(token), 'status', 'authenticated'), false);
  assert.equal((await api.call('GET', '/version', { token })).status, 401);
  await api.ok('DELETE', `${CORE}/pods/p`);
  assert.equal(at(await review(token, ['istio-ca']), 'status', 'authenticated'), false);
});

test('a token that was tampered with is refused', async () => {
  const [head, claims, signature] = (await tokenOf('reader')).split('.');
  const forged = JSON.parse(Buffer.from(claims!, 'base64url').toString()) as JsonObject;
  forged['sub'] = 'system:serviceaccount:kube-system:admin';
  const token = [head, Buffer.from(JSON.stringify(forged)).toString('base64url'), signature].join('.');
  assert.equal((await api.call('GET', '/api', { token })).status, 401);
});

test('acting as another needs the right to, and then has only the rights of the other', async () => {
  const headers = { 'impersonate-user': READER };
  const self = await api.ok('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { headers, body: {} });
  assert.equal(textAt(self, 'status', 'userInfo', 'username'), READER);
  assert.ok(listAt(self, 'status', 'userInfo', 'groups').includes('system:serviceaccounts:default'));
  assert.equal((await api.call('GET', `${CORE}/secrets`, { headers })).status, 403);
  const denied = await api.call('GET', '/api', { headers, token: await tokenOf('default') });
  assert.equal(denied.status, 403);
  assert.match(textAt(denied.body, 'message') ?? '', /cannot impersonate resource "serviceaccounts"/);
});

test('nobody in particular sees health and version, and nothing else', async () => {
  const headers = { 'impersonate-user': 'system:anonymous', 'impersonate-group': 'system:unauthenticated' };
  assert.equal((await api.call('GET', '/readyz', { headers })).status, 200);
  assert.equal((await api.call('GET', '/apis', { headers })).status, 403);
});
