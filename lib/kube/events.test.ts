// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { EventRecorder } from './events.ts';
import { SERVICE } from './kind.ts';
import type { EventObject } from './object.ts';

const EVENTS = '/api/v1/events';
const object = { metadata: { name: 'cart', namespace: 'shop', uid: 'u1' } };
const event = { type: 'Warning', reason: 'UnknownLabelValue', message: 'label x: y is unknown' } as const;

test('an event names its object, is told once while it is fresh, and counted up later, also after a restart', async () => {
  await using env = await fakeCluster();
  const clock = new FakeClock();
  const log = createLogger({ scope: 'e', level: 'off' });
  const options = { client: env.client, clock, log, component: 'istiod', instance: 'istiod-1' };
  const recorder = new EventRecorder(options);
  await recorder.record(SERVICE, object, event);
  await recorder.record(SERVICE, object, event);
  const [written] = env.api.all<EventObject>(EVENTS);
  equal(written?.involvedObject.name, 'cart');
  equal(written?.involvedObject.kind, 'Service');
  equal(written?.metadata.namespace, 'shop');
  equal(written?.count, 1);
  await new EventRecorder(options).record(SERVICE, object, event);
  equal(env.api.all<EventObject>(EVENTS).length, 1);
  equal(env.api.all<EventObject>(EVENTS)[0]?.count, 2);
});

test('an API server that refuses events costs a log line and nothing else', async () => {
  await using env = await fakeCluster();
  const lines: string[] = [];
  const log = createLogger({ scope: 'e', write: (line) => lines.push(line) });
  env.api.refuse = () => 403;
  const recorder = new EventRecorder({
    client: env.client,
    clock: new FakeClock(),
    log,
    component: 'i',
    instance: 'i',
  });
  await recorder.record(SERVICE, object, event);
  equal(lines.length, 1);
});
