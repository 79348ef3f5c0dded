// SPDX-License-Identifier: Apache-2.0
//
// Which objects are whose when several control planes share a cluster.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorizationPolicy, kubeService, namespace, type TestModel, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from './object/object.ts';

const labelled = (rev: string | undefined) => (rev === undefined ? {} : { labels: { 'istio.io/rev': rev } });

function gateway(rev?: string): KubeObject & { readonly spec: unknown } {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop', ...labelled(rev) },
    spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
  };
}

function tagWebhook(tag: string, rev: string): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: `istio-revision-tag-${tag}`, labels: { 'istio.io/tag': tag, 'istio.io/rev': rev } },
  };
}

function tagService(tag: string, rev: string, within = 'istio-system'): KubeObject {
  const meta = { labels: { 'istio.io/tag': tag, 'istio.io/rev': rev } };
  return kubeService(`istiod-revision-tag-${tag}`, { namespace: within, ip: '10.96.0.7', meta });
}

function validator(rev: string): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'istiod-default-validator', labels: { 'istio.io/rev': rev } },
  };
}

const runs = (live: TestModel): boolean => live.model.gateways.plans.get('shop/w') !== undefined;

test('a tag stands for the revision it leads to, on a Gateway, on its Namespace and on configuration', () => {
  for (const tag of [tagWebhook('prod', 'blue'), tagService('prod', 'blue')]) {
    const at = (revision: string, own?: string, space?: string) =>
      testModel([namespace('shop', labelled(space)), gateway(own), tag], { revision });
    assert.deepEqual([runs(at('blue', 'prod')), runs(at('green', 'prod'))], [true, false]);
    assert.deepEqual([runs(at('blue', undefined, 'prod')), runs(at('green', undefined, 'prod'))], [true, false]);
    const policy = authorizationPolicy('p', { rules: [{}] }, 'shop', labelled('prod'));
    const counted = (revision: string) => testModel([policy, tag], { revision }).model.policies.size;
    assert.deepEqual([counted('blue'), counted('green')], [1, 0]);
  }
});

test('a Service of another namespace makes no tag', () => {
  const live = testModel([namespace('shop'), gateway('prod'), tagService('prod', 'blue', 'shop')], {
    revision: 'blue',
  });
  assert.equal(runs(live), false);
});

test('a tag that is moved moves what it names, and nothing has to be labelled anew', () => {
  const blue = testModel([namespace('shop'), gateway('prod'), tagWebhook('prod', 'blue')], { revision: 'blue' });
  const green = testModel([namespace('shop'), gateway('prod'), tagWebhook('prod', 'blue')], { revision: 'green' });
  assert.deepEqual([runs(blue), runs(green)], [true, false]);
  for (const live of [blue, green]) live.apply(tagWebhook('prod', 'green'));
  assert.deepEqual([runs(blue), runs(green)], [false, true]);
  green.remove(tagWebhook('prod', 'green'));
  assert.equal(runs(green), false);
});

test('what names no revision belongs to the default one: the tag says which, else the validator', () => {
  const at = (revision: string, ...more: KubeObject[]) =>
    runs(testModel([namespace('shop'), gateway(), ...more], { revision }));
  const of = (...more: KubeObject[]) => ['blue', 'green'].map((revision) => at(revision, ...more));
  assert.deepEqual(of(), [true, true]);
  assert.deepEqual(of(validator('blue')), [true, false]);
  assert.deepEqual(of(validator('blue'), tagWebhook('default', 'green')), [false, true]);
  assert.deepEqual(of(validator('prod'), tagWebhook('prod', 'green')), [false, true]);
  assert.equal(at('', validator('blue')), true);
});

test('configuration that names no revision counts for every one', () => {
  const policy = authorizationPolicy('p', { rules: [{}] });
  for (const revision of ['', 'blue', 'green']) {
    assert.equal(testModel([policy, validator('blue')], { revision }).model.policies.size, 1);
  }
});
