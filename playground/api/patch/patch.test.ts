// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject, KubeObject } from '../json.ts';
import { BuiltinSchemas } from '../schema/builtin.ts';
import { jsonPatch } from './json-patch.ts';
import { applyConfiguration, recordUpdate, type Writer } from './managed-fields.ts';
import { mergePatch } from './merge-patch.ts';
import { strategicMerge } from './strategic.ts';

const { resolve } = new BuiltinSchemas();
const pod = resolve('V1Pod');
const deployment = resolve('V1Deployment');
const container = (name: string, image: string): JsonObject => ({ name, image });
const writer = (manager: string, operation: 'Apply' | 'Update' = 'Apply'): Writer => ({
  manager,
  operation,
  subresource: '',
  apiVersion: 'apps/v1',
  time: '2026-01-01T00:00:00Z',
});
const app = (spec: JsonObject): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'a' },
  spec,
});

test('a merge patch deletes on null and replaces lists', () => {
  assert.deepEqual(mergePatch({ a: 1, b: { c: 2, d: 3 }, e: [1] }, { a: null, b: { c: 4 }, e: [2] }), {
    b: { c: 4, d: 3 },
    e: [2],
  });
});

test('a JSON patch applies in order, unescapes pointers and refuses a failed test', () => {
  const target = { 'a/b': [1, 2], m: {} };
  const done = jsonPatch(target, [
    { op: 'test', path: '/a~1b/0', value: 1 },
    { op: 'add', path: '/a~1b/-', value: 3 },
    { op: 'remove', path: '/a~1b/0' },
    { op: 'copy', from: '/a~1b/0', path: '/m/x' },
  ]);
  assert.deepEqual(done, { ok: true, value: { 'a/b': [2, 3], m: { x: 2 } } });
  assert.equal(jsonPatch(target, [{ op: 'test', path: '/m', value: 1 }]).ok, false);
  assert.equal(jsonPatch(target, [{ op: 'remove', path: '/nothing' }]).ok, false);
});

test('a JSON patch may test that a member is missing, but not below something missing', () => {
  const passes = (path: string, value: Json) => jsonPatch({ m: { a: 1 } }, [{ op: 'test', path, value }]).ok;
  assert.deepEqual([passes('/status', null), passes('/m/b', null)], [true, true]);
  assert.deepEqual(
    [passes('/m/a', null), passes('/status/addresses', null), passes('/status', {})],
    [false, false, false],
  );
});

test('a strategic merge patch merges keyed lists, deletes by directive and orders', () => {
  const target = { spec: { containers: [container('a', '1'), container('b', '1')], tolerations: [{ key: 'x' }] } };
  const patch = {
    spec: {
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
      containers: [container('a', '2'), container('c', '1'), { $patch: 'delete', name: 'b' }],
      tolerations: [{ key: 'y' }],
    },
  };
  assert.deepEqual(strategicMerge(pod, target, patch, resolve), {
    spec: { containers: [container('c', '1'), container('a', '2')], tolerations: [{ key: 'y' }] },
  });
});

test('apply owns what it sends, conflicts on what another owns, and takes over by force', () => {
  const first = applyConfiguration(deployment, undefined, app({ replicas: 1 }), writer('one'), false, resolve);
  assert.ok(first.kind === 'merged');
  const refused = applyConfiguration(deployment, first.object, app({ replicas: 2 }), writer('two'), false, resolve);
  assert.deepEqual(refused, { kind: 'conflict', conflicts: [{ manager: 'one', field: '.spec.replicas' }] });
  const same = applyConfiguration(deployment, first.object, app({ replicas: 1 }), writer('two'), false, resolve);
  assert.ok(same.kind === 'merged');
  assert.equal((same.object.metadata['managedFields'] as JsonObject[]).length, 2);
  const forced = applyConfiguration(deployment, first.object, app({ replicas: 2 }), writer('two'), true, resolve);
  assert.ok(forced.kind === 'merged');
  assert.deepEqual(forced.object['spec'], { replicas: 2 });
  assert.deepEqual(
    (forced.object.metadata['managedFields'] as JsonObject[]).map((entry) => entry['manager']),
    ['two'],
  );
});

test('apply removes what its manager no longer sends, but not what another owns', () => {
  const template = (...containers: JsonObject[]): JsonObject => ({ template: { spec: { containers } } });
  const first = applyConfiguration(
    deployment,
    undefined,
    app({ replicas: 1, ...template(container('a', '1'), container('b', '1')) }),
    writer('one'),
    false,
    resolve,
  );
  assert.ok(first.kind === 'merged');
  const touched: KubeObject = structuredClone(first.object);
  (touched['spec'] as JsonObject)['paused'] = true;
  recordUpdate(deployment, first.object, touched, writer('hand', 'Update'), resolve);
  const second = applyConfiguration(
    deployment,
    touched,
    app(template(container('a', '1'))),
    writer('one'),
    false,
    resolve,
  );
  assert.ok(second.kind === 'merged');
  assert.deepEqual(second.object['spec'], { paused: true, ...template(container('a', '1')) });
});

test('an update may hand in the list of owners, and an empty list clears it', () => {
  const first = applyConfiguration(deployment, undefined, app({ replicas: 1 }), writer('one'), false, resolve);
  assert.ok(first.kind === 'merged');
  const renamed: KubeObject = structuredClone(first.object);
  for (const entry of renamed.metadata['managedFields'] as JsonObject[]) entry['manager'] = 'other';
  recordUpdate(deployment, first.object, renamed, writer('hand', 'Update'), resolve);
  const managers = (object: KubeObject): unknown =>
    (object.metadata['managedFields'] as JsonObject[] | undefined)?.map((entry) => entry['manager']);
  assert.deepEqual(managers(renamed), ['other']);
  const cleared: KubeObject = { ...renamed, metadata: { ...renamed.metadata, managedFields: [] } };
  recordUpdate(deployment, renamed, cleared, writer('hand', 'Update'), resolve);
  assert.equal(managers(cleared), undefined);
});
