// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { WebhookConfiguration } from '#lib/kube/object.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { type FailurePolicy, WebhookKeeper } from './webhook-keeper.ts';

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const GATEWAYS = '/apis/networking.istio.io/v1/namespaces/istio-system/gateways';

/** @param reached whether the API server asks the webhook about the question's object */
async function setUp({ policy = 'Fail' as FailurePolicy, reached = true } = {}) {
  const cluster = await fakeCluster();
  const put = (name: string, rev: string) =>
    cluster.api.put<WebhookConfiguration>(CONFIGURATIONS, {
      metadata: { name, labels: { 'istio.io/rev': rev } },
      webhooks: [{ name: 'validation.istio.io', failurePolicy: 'Ignore', clientConfig: {} }],
    });
  put('ours', 'default');
  put('theirs', 'other');
  const state = { reached, root: 'ROOT 1' };
  cluster.api.refuse = ({ path, query }) =>
    path === GATEWAYS && query.get('dryRun') === 'All' && state.reached ? 422 : path === GATEWAYS ? 500 : undefined;
  cluster.api.refusal = 'admission webhook "validation.istio.io" denied the request: always refused';
  const keeper = new WebhookKeeper({
    client: cluster.client,
    clock: systemClock,
    random: Math.random,
    log: createLogger({ scope: 'admission', level: 'off' }),
    namespace: 'istio-system',
    revision: '',
    rootPem: () => state.root,
    failurePolicy: policy,
  });
  const stop = new AbortController();
  keeper.start(stop.signal);
  const of = (name: string) => {
    const [webhook] = cluster.api.find<WebhookConfiguration>(CONFIGURATIONS, undefined, name)?.webhooks ?? [];
    return [Buffer.from(webhook?.clientConfig?.caBundle ?? '', 'base64').toString(), webhook?.failurePolicy];
  };
  return {
    ...cluster,
    keeper,
    state,
    put,
    of,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('configurations of our revision get the bundle, and Fail once the webhook is reached', async () => {
  await using env = await setUp();
  await until('ours', () => env.of('ours').join() === 'ROOT 1,Fail');
  deepEqual(env.of('theirs'), ['', 'Ignore']);
  env.state.root = 'ROOT 2';
  env.keeper.refresh();
  await until('the new root', () => env.of('ours')[0] === 'ROOT 2');
  env.put('ours', 'default');
  await until('the repair', () => env.of('ours').join() === 'ROOT 2,Fail');
});

test('as long as the webhook is not reached, objects are let pass', async () => {
  await using env = await setUp({ reached: false });
  env.api.refusal = 'no endpoints';
  await until('the bundle', () => env.of('ours')[0] === 'ROOT 1');
  equal(env.of('ours')[1], 'Ignore');
  env.api.refusal = 'denied the request: always refused';
  env.state.reached = true;
  await until('the policy', () => env.of('ours')[1] === 'Fail');
});

test('configured to ignore, it stays at that, and puts it back', async () => {
  await using env = await setUp({ policy: 'Ignore' });
  await until('the bundle', () => env.of('ours').join() === 'ROOT 1,Ignore');
  env.api.put<WebhookConfiguration>(CONFIGURATIONS, {
    metadata: { name: 'ours', labels: { 'istio.io/rev': 'default' } },
    webhooks: [{ name: 'validation.istio.io', failurePolicy: 'Fail', clientConfig: {} }],
  });
  await until('the repair', () => env.of('ours').join() === 'ROOT 1,Ignore');
});
