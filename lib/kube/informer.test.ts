// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { Informer, type InformerOptions } from './informer.ts';
import { type Kind, kindOf, POD } from './kind.ts';
import { type KubeObject, objectKey, type Pod } from './object.ts';

const PODS = '/api/v1/pods';
const pod = (name: string, labels: Record<string, string> = {}): Pod => ({
  metadata: { name, namespace: 'shop', labels },
});

/** Waits a hundredth of the time, so that backoff shows in the log and not on the clock. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) };

async function setUp<T extends KubeObject>(kind: Kind<T>, options: Partial<InformerOptions<T>> = {}) {
  const cluster = await fakeCluster();
  const { api, client } = cluster;
  const lines: string[] = [];
  const log = createLogger({ scope: 'kube', level: 'debug', write: (line) => lines.push(line) });
  const informer = new Informer<T>({ client, kind, clock: hurried, random: () => 0.5, log, ...options });
  const events: string[] = [];
  informer.subscribe((changes) => events.push(...changes.map(({ op, key }) => `${op} ${key}`)));
  return {
    api,
    client,
    informer,
    events,
    lines,
    async [Symbol.asyncDispose]() {
      informer.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('the copy holds what was there and follows what changes', async () => {
  await using env = await setUp(POD);
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await env.informer.whenSynced();
  deepEqual([...env.informer.values()].map(objectKey), ['shop/a']);
  await until('the watch', () => env.api.watching === 1);
  env.api.put(PODS, pod('b'));
  env.api.put(PODS, pod('a', { app: 'x' }));
  env.api.remove(PODS, 'shop', 'b');
  await until('the deletion', () => env.events.includes('delete shop/b'));
  deepEqual(env.events, ['set shop/a', 'set shop/b', 'set shop/a', 'delete shop/b']);
  equal(env.informer.get('shop/a')?.metadata.labels?.['app'], 'x');
});

test('a collection larger than a page is read whole', async () => {
  await using env = await setUp(POD);
  for (let i = 0; i < 1203; i++) env.api.put(PODS, pod(`p${i}`));
  env.informer.start();
  await env.informer.whenSynced();
  equal(env.informer.size, 1203);
  equal(env.api.requests.filter(({ query }) => query.get('watch') !== 'true').length, 3);
});

test('a watch that ends goes on from the last version, bookmarks included, without listing again', async () => {
  await using env = await setUp(POD);
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await until('the watch', () => env.api.watching === 1);
  env.api.put('/api/v1/nodes', { metadata: { name: 'n' } });
  env.api.bookmark();
  await until(
    'the bookmark',
    () => env.informer.state.kind === 'watching' && env.informer.state.resourceVersion === '102',
  );
  env.api.endWatches();
  await until('a new watch', () => env.api.watching === 1);
  equal(env.api.requests.filter(({ query }) => query.get('watch') !== 'true').length, 1);
  equal(env.api.requests.at(-1)?.query.get('resourceVersion'), '102');
});

test('a server that has forgotten our place (410) is listed anew, and what vanished meanwhile is deleted', async () => {
  await using env = await setUp(POD);
  env.api.put(PODS, pod('a'));
  env.api.put(PODS, pod('b'));
  env.informer.start();
  await until('the watch', () => env.api.watching === 1);
  await env.api.stop();
  env.api.remove(PODS, 'shop', 'a');
  env.api.put(PODS, pod('c'));
  env.api.expire();
  await env.api.start();
  await until('the new state', () => env.events.includes('set shop/c'));
  deepEqual(env.events, ['set shop/a', 'set shop/b', 'set shop/c', 'delete shop/a']);
});

test('while the server is away the last state stands, and the log says so once', async () => {
  const health: string[] = [];
  await using env = await setUp(POD, { onHealth: (healthy, reason) => health.push(`${healthy} ${reason}`) });
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await until('the watch', () => env.api.watching === 1);
  await env.api.stop();
  await until('several failures', () => env.informer.state.kind === 'waiting' && env.informer.state.failures > 4);
  equal(env.informer.size, 1);
  env.api.put(PODS, pod('b'));
  await env.api.start();
  await until('the new pod', () => env.informer.get('shop/b') !== undefined);
  equal(env.lines.filter((line) => line.includes('out of date')).length, 1);
  equal(env.lines.filter((line) => line.includes('up to date again')).length, 1);
  match(health[0] ?? '', /^false .*did not answer/);
  equal(health[1], 'true ');
  deepEqual(env.events, ['set shop/a', 'set shop/b']);
});

test('however long the server was away, it is asked again every few seconds', async () => {
  const waits: number[] = [];
  const clock: Clock = {
    ...hurried,
    sleep: (ms, signal) => {
      waits.push(ms);
      return systemClock.sleep(Math.min(ms, 1), signal);
    },
  };
  await using env = await setUp(POD, { clock, random: () => 0.999 });
  env.informer.start();
  await env.informer.whenSynced();
  await env.api.stop();
  await until('many failures', () => waits.length > 30);
  ok(Math.max(...waits) < 5_000, `${Math.max(...waits)} ms`);
});

test('a refusal names the kind and what to do, and is asked again', async () => {
  await using env = await setUp(POD);
  env.api.refuse = () => 403;
  env.informer.start();
  const line = await until('the warning', () => env.lines.find((text) => text.includes('out of date')));
  match(line, /Pod is out of date/);
  match(line, /check RBAC/);
  equal(env.informer.synced, false);
  env.api.refuse = undefined;
  await env.informer.whenSynced();
});

test('a kind whose CRD is missing counts as empty and appears when it is installed', async () => {
  const kind = kindOf<KubeObject>('example.dev', 'v1', 'Thing', 'things');
  await using env = await setUp(kind);
  env.api.refuse = () => 404;
  env.informer.start();
  await env.informer.whenSynced();
  equal(env.informer.state.kind, 'absent');
  env.api.put('/apis/example.dev/v1/things', { metadata: { name: 't', namespace: 'shop' } });
  env.api.refuse = undefined;
  await until('the object', () => env.informer.get('shop/t') !== undefined);
});

test('an API server that is still starting is not believed when it does not serve a kind', async () => {
  await using env = await setUp(POD);
  env.api.put(PODS, pod('a'));
  env.api.refuse = ({ path }) => (path === '/readyz' ? 500 : 404);
  env.informer.start();
  await until('several attempts', () => env.api.requests.length > 6);
  equal(env.informer.synced, false);
  env.api.refuse = undefined;
  await env.informer.whenSynced();
  equal(env.informer.size, 1);
});

test('objects of a kind that is suddenly not served are kept until that is certain', async () => {
  let nowMs = 0;
  const clock = { ...hurried, monotonic: () => nowMs };
  await using env = await setUp(POD, { clock });
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await until('the watch', () => env.api.watching === 1);
  env.api.refuse = () => 404;
  env.api.expire();
  env.api.endWatches();
  await until('the absence', () => env.informer.state.kind === 'absent');
  await until('it to be asked for again and again', () => env.api.requests.length > 10);
  equal(env.informer.size, 1);
  nowMs = 3_600_000;
  await until('the end of patience', () => env.informer.size === 0);
});

test('a listener that throws is named in the log and stops nobody', async () => {
  await using env = await setUp(POD);
  env.informer.subscribe(() => {
    throw new Error('bug');
  });
  const later: string[] = [];
  env.informer.subscribe((changes) => later.push(...changes.map(({ key }) => key)));
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await until('the listener behind it', () => later.length === 1);
  ok(env.lines.some((line) => line.includes('a listener of Pod failed') && line.includes('shop/a')));
});

test('a resync tells every object again', async () => {
  await using env = await setUp(POD, { resyncMs: 30 });
  env.api.put(PODS, pod('a'));
  env.informer.start();
  await until('two resyncs', () => env.events.filter((event) => event === 'set shop/a').length >= 3);
});

test('managedFields are not kept, and every object says what kind it is', async () => {
  await using env = await setUp(POD);
  env.api.put(PODS, { metadata: { name: 'a', namespace: 'shop', managedFields: [{}] } } as unknown as Pod);
  env.informer.start();
  await env.informer.whenSynced();
  equal('managedFields' in (env.informer.get('shop/a')?.metadata ?? {}), false);
  equal(env.informer.get('shop/a')?.kind, 'Pod');
  equal(env.informer.get('shop/a')?.apiVersion, 'v1');
});
