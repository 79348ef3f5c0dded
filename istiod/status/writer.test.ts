// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { EventRecorder } from '#lib/kube/events.ts';
import { Informer } from '#lib/kube/informer.ts';
import { AUTHORIZATION_POLICY, POD } from '#lib/kube/kind.ts';
import type { EventObject, GenericObject } from '#lib/kube/object.ts';
import type { ObjectReport } from '#lib/model/report/report.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { conditionTarget, StatusWriter } from './writer.ts';

const POLICIES = '/apis/security.istio.io/v1/authorizationpolicies';
const ID = 'AuthorizationPolicy shop/p';

function report(kind: string, fields: Partial<ObjectReport>): ObjectReport {
  const object = { apiVersion: '', kind, namespace: 'shop', name: 'p', uid: 'u', generation: 1 };
  return { object, problems: [], conditions: [], ...fields };
}

const ACCEPTED = {
  type: 'ZtunnelAccepted',
  status: 'True',
  reason: 'Accepted',
  message: 'attached',
  manager: 'm',
} as const;
const PROBLEM = {
  object: 'x',
  severity: 'error',
  code: 'UnknownValue',
  field: 'spec.action',
  message: '"FORBID" is not known',
  fix: 'write DENY',
} as const;

async function setUp(status?: Record<string, unknown>) {
  const cluster = await fakeCluster();
  const policy: GenericObject = {
    metadata: { name: 'p', namespace: 'shop', generation: 1 },
    ...(status === undefined ? {} : { status }),
  };
  cluster.api.put(POLICIES, policy);
  const log = createLogger({ scope: 's', level: 'off' });
  const common = { client: cluster.client, clock: systemClock, log };
  const informer = new Informer({ ...common, kind: AUTHORIZATION_POLICY, random: () => 0.5 });
  const events = new EventRecorder({ ...common, component: 'istiod', instance: 'istiod-0' });
  const writer = new StatusWriter({
    ...common,
    events,
    owns: ({ metadata }) => metadata.labels?.['istio.io/rev'] !== 'another',
    targets: { AuthorizationPolicy: conditionTarget(informer, { ZtunnelAccepted: 'm', WaypointAccepted: 'w' }) },
    kinds: { AuthorizationPolicy: AUTHORIZATION_POLICY, Pod: POD },
  });
  informer.start();
  await informer.whenSynced();
  const term = new AbortController();
  const conditions = () =>
    (cluster.api.find<GenericObject>(POLICIES, 'shop', 'p')?.status?.['conditions'] ?? []) as Record<string, unknown>[];
  return {
    ...cluster,
    writer,
    informer,
    conditions,
    term: { signal: term.signal, holds: () => true },
    endTerm: () => term.abort(),
    writes: () => cluster.api.requests.filter(({ method }) => method === 'PATCH'),
    events: () => cluster.api.all<EventObject>('/api/v1/events'),
    async [Symbol.asyncDispose]() {
      term.abort();
      informer.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('a replica that does not lead writes nothing; one that begins to lead writes what is due', async () => {
  await using env = await setUp();
  env.writer.report(ID, report('AuthorizationPolicy', { conditions: [ACCEPTED] }));
  equal(env.writes().length, 0);
  env.writer.lead(env.term);
  await until('the condition', () => env.conditions().length === 1);
  equal(env.conditions()[0]?.['reason'], 'Accepted');
  equal(env.writes()[0]?.query.get('fieldManager'), 'm');
  equal(env.writes()[0]?.path.endsWith('/shop/authorizationpolicies/p/status'), true);
});

test('after the end of its term a replica writes nothing more', async () => {
  await using env = await setUp();
  env.writer.lead(env.term);
  env.endTerm();
  env.writer.report(ID, report('AuthorizationPolicy', { conditions: [ACCEPTED] }));
  await new Promise((resolve) => setImmediate(resolve));
  equal(env.writes().length, 0);
});

test('a condition of ours from an earlier time that no longer holds is taken away', async () => {
  await using env = await setUp({
    conditions: [{ ...ACCEPTED, lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 }],
  });
  env.writer.lead(env.term);
  await until('its end', () => env.conditions().length === 0);
  equal(env.writes()[0]?.query.get('fieldManager'), 'm');
});

test('a problem that a condition tells is not told again by an Event; one of a kind without conditions is', async () => {
  await using env = await setUp();
  env.writer.lead(env.term);
  const message = 'spec.action: "FORBID" is not known; write DENY';
  const refused = { ...ACCEPTED, status: 'False', reason: 'Invalid', message } as const;
  env.writer.report(ID, report('AuthorizationPolicy', { conditions: [refused], problems: [PROBLEM] }));
  env.writer.report('Pod shop/p', report('Pod', { problems: [PROBLEM] }));
  const [event] = await until('the event', () => (env.events().length > 0 ? env.events() : undefined));
  await until('the condition', () => env.conditions().length === 1);
  deepEqual(
    env.events().map(({ involvedObject }) => involvedObject.kind),
    ['Pod'],
  );
  match(event?.message ?? '', /^Pod shop\/p: spec.action: "FORBID" is not known; write DENY$/);
});

test('nothing is written on an object of another revision, which has a control plane of its own', async () => {
  await using env = await setUp();
  const metadata = { name: 'p', namespace: 'shop', labels: { 'istio.io/rev': 'another' } };
  env.api.put(POLICIES, { metadata });
  await until('its label', () => env.informer.get('shop/p')?.metadata.labels !== undefined);
  env.writer.lead(env.term);
  env.writer.report(ID, report('AuthorizationPolicy', { conditions: [ACCEPTED] }));
  env.writer.report('Pod shop/p', report('Pod', { problems: [PROBLEM] }));
  await until('what is ours', () => env.events().length === 1);
  deepEqual(env.writes(), []);
});
