// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Door } from '#lib/testkit/door.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import type { KubeClient } from './client.ts';
import { connectKube } from './connect.ts';
import { judgeLease, Leader, type LeaderOptions, type Term } from './leader.ts';
import type { Lease } from './object.ts';

const LEASES = '/apis/coordination.k8s.io/v1/leases';
const log = createLogger({ scope: 'l', level: 'off' });
/** Runs twenty times as fast. */
const hurried: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 20,
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
  after: (ms, fn) => systemClock.after(ms / 20, fn),
};

/** Asks twenty times as often; leases last as long as ever. */
const eager: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

function leader(client: KubeClient, identity: string, events: string[], more: Partial<LeaderOptions> = {}) {
  return new Leader({
    client,
    clock: hurried,
    log,
    namespace: 'istio-system',
    name: 'task',
    identity,
    lead: ({ signal }) => {
      events.push(`${identity} leads`);
      signal.addEventListener('abort', () => events.push(`${identity} ends`));
    },
    ...more,
  });
}

function serverOf(kubeconfig: string): string {
  return (JSON.parse(kubeconfig) as { clusters: { cluster: { server: string } }[] }).clusters[0]!.cluster.server;
}

function lease(holderIdentity: string, renewTime: string): Lease {
  return { metadata: { name: 'task' }, spec: { holderIdentity, renewTime, leaseDurationSeconds: 30 } };
}

test('a lease is free when it is absent, given back, or unchanged for its duration', () => {
  const seen = { renewTime: 't', sinceMs: 30_000 };
  equal(judgeLease(undefined, 'a', seen), 'free');
  equal(judgeLease(lease('', 't'), 'a', seen), 'free');
  equal(judgeLease(lease('b', 't'), 'a', seen), 'free');
  equal(judgeLease(lease('b', 't'), 'a', { renewTime: 't', sinceMs: 29_999 }), 'taken');
  equal(judgeLease(lease('b', 'later'), 'a', seen), 'taken');
  equal(judgeLease(lease('a', 't'), 'a', { renewTime: '', sinceMs: 0 }), 'mine');
});

test('one of two leads, and the other takes over when it stops', async () => {
  await using env = await fakeCluster();
  const events: string[] = [];
  const first = leader(env.client, 'a', events, { clock: eager });
  const second = leader(env.client, 'b', events, { clock: eager });
  first.start();
  await until('a leader', () => first.leading);
  second.start();
  await first.stop();
  await until('its successor', () => second.leading);
  await second.stop();
  deepEqual(events, ['a leads', 'a ends', 'b leads', 'b ends']);
  equal(env.api.find<Lease>(LEASES, 'istio-system', 'task')?.spec?.holderIdentity, '');
});

test('a leader that vanished is replaced once its lease has run out', async () => {
  await using env = await fakeCluster();
  const events: string[] = [];
  env.api.put(LEASES, { ...lease('dead', 'long ago'), metadata: { name: 'task', namespace: 'istio-system' } });
  const heir = leader(env.client, 'b', events);
  heir.start();
  await until('the heir', () => heir.leading);
  await heir.stop();
});

test('a leader that was stopped for longer than its lease knows it before it acts again', async () => {
  await using env = await fakeCluster();
  let stoppedMs = 0;
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + stoppedMs };
  const terms: Term[] = [];
  const lead = (term: Term): void => void terms.push(term);
  const only = new Leader({
    client: env.client,
    clock,
    log,
    namespace: 'istio-system',
    name: 'task',
    identity: 'a',
    lead,
  });
  only.start();
  await until('leadership', () => terms.length === 1);
  equal(terms[0]?.holds(), true);
  // As after SIGCONT: time has passed, no timer has run yet.
  stoppedMs = 31_000;
  equal(terms[0]?.holds(), false);
  equal(terms[0]?.signal.aborted, true);
  equal(only.leading, false);
  await only.stop();
});

test('a leader whose API server falls silent steps down in time', async () => {
  await using env = await fakeCluster();
  await using door = await Door.open(Number(new URL(serverOf(env.api.kubeconfig)).port));
  const folder = mkdtempSync(join(tmpdir(), 'ambit-leader-'));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, env.api.kubeconfig.replace(serverOf(env.api.kubeconfig), `http://127.0.0.1:${door.port}`));
  const client = connectKube({ kubeconfig });
  const events: string[] = [];
  const only = leader(client, 'a', events, { clock: systemClock, leaseSeconds: 0.6 });
  only.start();
  await until('leadership', () => only.leading);
  door.stall();
  await until('its end', () => events.includes('a ends'));
  door.resume();
  await until('its return', () => only.leading);
  await only.stop();
  await client.close();
  rmSync(folder, { recursive: true });
});

test('a leader that cannot reach the API server steps down', async () => {
  await using env = await fakeCluster();
  const events: string[] = [];
  const only = leader(env.client, 'a', events);
  only.start();
  await until('leadership', () => only.leading);
  env.api.refuse = () => 500;
  await until('its end', () => events.includes('a ends'));
  env.api.refuse = undefined;
  await until('its return', () => only.leading);
  await only.stop();
});

test('a holder gives the lease to a revision that goes first, and equals leave it with each other', async () => {
  await using env = await fakeCluster();
  const events: string[] = [];
  const canary = leader(env.client, 'canary', events, { clock: eager, goesFirst: () => false });
  const other = leader(env.client, 'other', events, { clock: eager, goesFirst: () => false });
  const stable = leader(env.client, 'stable', events, { clock: eager, goesFirst: () => true });
  const second = leader(env.client, 'second', events, { clock: eager, goesFirst: () => true });
  canary.start();
  await until('a leader', () => canary.leading);
  other.start();
  stable.start();
  await until('the handover', () => stable.leading);
  second.start();
  const wanted = () => env.api.find<Lease>(LEASES, 'istio-system', 'task');
  const from = wanted()?.spec?.renewTime;
  await until('two renewals', () => wanted()?.spec?.renewTime !== from && stable.leading);
  await Promise.all([stable.stop(), second.stop(), canary.stop(), other.stop()]);
  deepEqual(events.slice(0, 4), ['canary leads', 'canary ends', 'stable leads', 'stable ends']);
});

test('a lease kept free for somebody who never comes is taken after its time', async () => {
  await using env = await fakeCluster();
  const metadata = { name: 'task', namespace: 'istio-system', annotations: { 'ambit.dev/wanted-by': 'gone' } };
  env.api.put(LEASES, { metadata, spec: { holderIdentity: '', renewTime: 't', leaseDurationSeconds: 30 } });
  const canary = leader(env.client, 'canary', [], { goesFirst: () => false });
  canary.start();
  await until('its term', () => canary.leading);
  equal(env.api.find(LEASES, 'istio-system', 'task')?.metadata.annotations?.['ambit.dev/wanted-by'], undefined);
  await canary.stop();
});
