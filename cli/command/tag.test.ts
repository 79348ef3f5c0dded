// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { GenericObject, WebhookConfiguration } from '#lib/kube/object.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { runCli } from '../program.ts';

const MUTATING = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const VALIDATING = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

async function setUp(...revisions: string[]) {
  const cluster = await fakeCluster();
  for (const revision of revisions) {
    const metadata = {
      name: `istiod-${revision}`,
      namespace: 'istio-system',
      labels: { app: 'istiod', 'istio.io/rev': revision },
    };
    cluster.api.put('/api/v1/pods', { metadata });
  }
  const run = async (...argv: string[]) => {
    let out = '';
    const add = (text: string): void => {
      out += text;
    };
    const io = { env: () => undefined, out: add, err: add, color: false };
    await runCli(['-c', cluster.kubeconfig, 'tag', ...argv], io);
    return out;
  };
  const labels = (tag: string) => cluster.api.find(MUTATING, undefined, `istio-revision-tag-${tag}`)?.metadata.labels;
  const service = (tag: string) =>
    cluster.api.find<GenericObject>('/api/v1/services', 'istio-system', `istiod-revision-tag-${tag}`);
  return { ...cluster, run, labels, service, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
}

test('a tag is set, shown with the namespaces that name it, moved when told to, and removed', async () => {
  await using env = await setUp('blue', 'green');
  env.api.put('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'istio.io/rev': 'prod' } } });
  equal(await env.run('list'), 'No revision tags found.\n');
  equal(await env.run('set', 'prod', '--revision', 'blue'), 'tag prod leads to revision blue\n');
  match(await env.run('list'), /TAG +REVISION +NAMESPACES\s+prod +blue +shop/);
  await rejects(env.run('set', 'prod', '-r', 'green'), /tag prod leads to revision blue/);
  await env.run('set', 'prod', '-r', 'green', '--overwrite');
  equal(env.labels('prod')?.['istio.io/rev'], 'green');
  deepEqual(env.service('prod')?.spec?.['selector'], { app: 'istiod', 'istio.io/rev': 'green' });
  deepEqual(JSON.parse(await env.run('list', '-o', 'json')), [
    { tag: 'prod', revision: 'green', namespaces: ['shop'] },
  ]);
  await rejects(env.run('remove', 'prod'), /shop would be without a control plane/);
  equal(await env.run('remove', 'prod', '-y'), 'tag prod removed\n');
  deepEqual([env.labels('prod'), env.service('prod')], [undefined, undefined]);
  await rejects(env.run('remove', 'prod'), /there is no tag prod/);
});

test('generate prints what set applies', async () => {
  await using env = await setUp('blue');
  const printed = parseAllDocuments(await env.run('generate', 'prod', '-r', 'blue')).map((one) => one.toJS());
  await env.run('set', 'prod', '-r', 'blue');
  deepEqual(printed[0].metadata.labels, env.labels('prod'));
  deepEqual(printed[1].spec.selector, env.service('prod')?.spec?.['selector']);
});

test('a tag leads to a revision that runs, and is not called like one', async () => {
  await using env = await setUp('blue', 'green');
  await rejects(env.run('set', 'prod', '-r', 'red'), /no istiod of revision red runs in istio-system/);
  await rejects(env.run('set', 'green', '-r', 'blue'), /green is a revision itself/);
  equal(env.labels('prod'), undefined);
});

test('the tag default brings the validator of what names no revision along', async () => {
  await using env = await setUp('default', 'green');
  const service = { name: 'istiod', namespace: 'istio-system', path: '/validate' };
  const webhooks = [{ name: 'validation.istio.io', clientConfig: { caBundle: 'x', service } }];
  const metadata = { name: 'istiod-default-validator', labels: { 'istio.io/rev': 'default', app: 'istiod' } };
  env.api.put(VALIDATING, { metadata, webhooks } as WebhookConfiguration);
  await env.run('set', 'default', '-r', 'green');
  const found = env.api.find<WebhookConfiguration>(VALIDATING, undefined, 'istiod-default-validator');
  deepEqual(found?.metadata.labels, { 'istio.io/rev': 'green', app: 'istiod' });
  deepEqual(found?.webhooks?.[0]?.clientConfig, { caBundle: 'x', service: { ...service, name: 'istiod-green' } });
});
