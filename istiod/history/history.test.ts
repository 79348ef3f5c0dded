// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { Informer } from '#lib/kube/informer.ts';
import { AUTHORIZATION_POLICY } from '#lib/kube/kind.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { History } from './history.ts';
import { recordHistory } from './recorder.ts';

function folder() {
  const path = mkdtempSync(join(tmpdir(), 'ambit-history-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const object = (name: string, action: string) =>
  ({ apiVersion: 'v1', kind: 'Policy', metadata: { name, resourceVersion: '7' }, spec: { action } }) as KubeObject;
const one = (name: string, action?: string) =>
  new Map([[`Policy ${name}`, action === undefined ? undefined : object(name, action)]]);

test('between two moments is what differs, with both contents, also after a restart', () => {
  using at = folder();
  const options = { folder: at.path, maxVersions: 100 };
  const history = new History(options);
  equal(history.record(10, one('a', 'ALLOW')), true);
  equal(history.record(20, one('b', 'DENY')), true);
  equal(history.record(25, one('b', 'DENY')), false);
  history.record(30, one('a', 'DENY'));
  history.record(40, one('b'));
  for (const log of [history, new History(options)]) {
    deepEqual(log.moments, [10, 20, 30, 40]);
    deepEqual(
      [5, 20, 45].map((moment) => log.contents(moment).map((content) => spec(content))),
      [[], ['ALLOW', 'DENY'], ['DENY']],
    );
    deepEqual(
      log.diff(20, 30).map(({ object: name, before, after }) => [name, spec(before), spec(after)]),
      [['Policy a', 'ALLOW', 'DENY']],
    );
    deepEqual(
      log.diff(30, 100).map(({ object: name, before, after }) => [name, spec(before), spec(after)]),
      [['Policy b', 'DENY', undefined]],
    );
    equal(log.diff(0, 5).length, 0);
  }
});

test('beyond its bound the oldest versions become one, and contents nobody names are let go', () => {
  using at = folder();
  const history = new History({ folder: at.path, maxVersions: 10 });
  for (let i = 1; i <= 200; i++) history.record(i, one('a', `A${i}`));
  equal(history.moments.length <= 10, true);
  equal(readdirSync(join(at.path, 'contents')).length <= 10, true);
  deepEqual(
    history.diff(199, 200).map(({ before, after }) => [spec(before), spec(after)]),
    [['A199', 'A200']],
  );
});

test('a line that a crash cut short is left out', () => {
  using at = folder();
  const options = { folder: at.path, maxVersions: 10 };
  new History(options).record(1, one('a', 'ALLOW'));
  appendFileSync(join(at.path, 'versions.jsonl'), '{"at":2,"chan');
  const history = new History(options);
  deepEqual(history.moments, [1]);
  history.record(3, one('a', 'DENY'));
  deepEqual(new History(options).moments, [1, 3]);
});

test('changes of the cluster become versions, and what went while nobody watched is gone', async () => {
  using at = folder();
  await using cluster = await fakeCluster();
  const POLICIES = '/apis/security.istio.io/v1/authorizationpolicies';
  const clock = new FakeClock();
  const log = createLogger({ scope: 'history', level: 'off' });
  const watch = async () => {
    const stop = new AbortController();
    const informer = new Informer<KubeObject>({
      client: cluster.client,
      kind: AUTHORIZATION_POLICY,
      clock,
      random: Math.random,
      log,
    });
    informer.start();
    await informer.whenSynced();
    const history = recordHistory(
      { clock, log, folder: at.path, maxVersions: 10, informers: [informer] },
      stop.signal,
    )!;
    const end = (): void => {
      stop.abort();
      informer.stop();
    };
    return { history, informer, [Symbol.dispose]: end };
  };
  cluster.api.put(POLICIES, { metadata: { name: 'a', namespace: 'shop' } });
  {
    using first = await watch();
    deepEqual([...first.history.objects], ['AuthorizationPolicy shop/a']);
    cluster.api.put(POLICIES, { metadata: { name: 'b', namespace: 'shop' } });
    await until('the event', () => first.informer.size === 2);
    await clock.advance(1_000);
    deepEqual([...first.history.objects], ['AuthorizationPolicy shop/a', 'AuthorizationPolicy shop/b']);
  }
  cluster.api.remove(POLICIES, 'shop', 'a');
  using second = await watch();
  deepEqual([...second.history.objects], ['AuthorizationPolicy shop/b']);
});

function spec(content: unknown): string | undefined {
  return (content as { readonly spec?: { readonly action?: string } } | undefined)?.spec?.action;
}
