// SPDX-License-Identifier: Apache-2.0
// Other people's client libraries against the playground's API server: client-node's informer and Go's client-go.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CoreV1Api, KubeConfig, makeInformer } from '@kubernetes/client-node';
import { ApiProcess } from '../harness/api-server.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT, run } from '../harness/run.ts';

const BUILD_MS = 600_000;
const api = new ApiProcess();
before(() => api.start());
after(() => api.stop());

test("client-node's informer sees changes, and goes on after the server was killed", async () => {
  const config = new KubeConfig();
  config.loadFromFile(api.kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const list = () => core.listNamespacedConfigMap({ namespace: 'default' });
  const informer = makeInformer(config, '/api/v1/namespaces/default/configmaps', list);
  const seen: string[] = [];
  const failed: unknown[] = [];
  for (const event of ['add', 'update', 'delete'] as const)
    informer.on(event, (object) => seen.push(`${event} ${object.metadata?.name} ${object.data?.['a'] ?? ''}`));
  informer.on('error', (error) => {
    failed.push(error);
    setTimeout(() => void informer.start(), 100).unref();
  });
  await informer.start();
  try {
    const body = { metadata: { name: 'one' }, data: { a: '1' } };
    const made = await core.createNamespacedConfigMap({ namespace: 'default', body });
    await eventually('the informer adds it', () => seen.includes('add one 1'));
    await api.kill();
    await api.start();
    const kept = await core.readNamespacedConfigMap({ namespace: 'default', name: 'one' });
    assert.equal(kept.metadata?.resourceVersion, made.metadata?.resourceVersion);
    await core.replaceNamespacedConfigMap({ namespace: 'default', name: 'one', body: { ...kept, data: { a: '2' } } });
    await eventually('the informer updates it', () => seen.includes('update one 2'));
    await core.deleteNamespacedConfigMap({ namespace: 'default', name: 'one' });
    await eventually('the informer deletes it', () => seen.includes('delete one 2'));
  } finally {
    await informer.stop();
  }
});

test("Go's client-go lists, watches, writes, patches and applies, in JSON and protobuf", {
  timeout: BUILD_MS,
}, async () => {
  const bin = join(ROOT, '.cache/bin');
  mkdirSync(bin, { recursive: true });
  const program = join(bin, 'clientgo');
  await run('go', ['build', '-o', program, '.'], { cwd: join(ROOT, 'e2e/clientgo'), timeoutMs: BUILD_MS });
  for (const wire of ['json', 'protobuf']) {
    const { seen, data, manager, conflict } = JSON.parse(await run(program, [api.kubeconfig, wire]));
    const name = 'default/clientgo';
    assert.deepEqual(seen, [`add ${name}`, `update ${name}`, `update ${name}`, `delete ${name}`]);
    assert.deepEqual({ data, manager, conflict }, { data: '123', manager: 'clientgo-test', conflict: true });
  }
});
