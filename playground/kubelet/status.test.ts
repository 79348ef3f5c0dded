// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerState, ContainerStatus, PodObject } from './pod.ts';
import { type PodFacts, podStatus } from './status.ts';

const container = (state: ContainerState, ready = false): ContainerStatus => ({
  ...{ name: 'main', state, lastState: {}, ready, started: ready, restartCount: 0, image: 'x', imageID: 'x' },
});
const ended = (exitCode: number): ContainerState => ({
  terminated: { exitCode, reason: 'Completed', startedAt: 't', finishedAt: 't' },
});
const running: ContainerState = { running: { startedAt: 't' } };
const waiting: ContainerState = { waiting: { reason: 'ContainerCreating' } };

const facts = (state: ContainerState, changes: Partial<PodFacts> & { policy?: string } = {}): PodFacts => {
  const { policy = 'Always', ...rest } = changes;
  const pod: PodObject = { metadata: { name: 'p' }, spec: { restartPolicy: policy, containers: [{ name: 'main' }] } };
  return {
    ...{ pod, now: 'now', startTime: 's', hostIps: ['172.18.0.11'], podIps: ['10.244.1.2'], sandboxReady: true },
    ...{ initialized: true, containers: [container(state, state === running)], initContainers: [], stopped: false },
    ...rest,
  };
};
const phase = (...given: Parameters<typeof facts>): string | undefined => podStatus(facts(...given)).phase;

test('the phase follows the containers and the restart policy', () => {
  assert.equal(phase(waiting), 'Pending');
  assert.equal(phase(running, { initialized: false }), 'Pending');
  assert.equal(phase(running), 'Running');
  assert.equal(phase(ended(1)), 'Running');
  assert.equal(phase(ended(0), { policy: 'Never' }), 'Succeeded');
  assert.equal(phase(ended(1), { policy: 'Never' }), 'Failed');
  assert.equal(phase(ended(0), { policy: 'OnFailure' }), 'Succeeded');
  assert.equal(phase(ended(1), { policy: 'OnFailure' }), 'Running');
  assert.equal(phase(ended(0), { stopped: true }), 'Succeeded');
  assert.equal(phase(running, { failure: { reason: 'DeadlineExceeded', message: '' } }), 'Failed');
});

test('an unready container makes the pod unready and is named', () => {
  const ready = podStatus(facts(waiting)).conditions?.find(({ type }) => type === 'Ready');
  assert.equal(ready?.status, 'False');
  assert.equal(ready?.message, 'containers with unready status: [main]');
});

test('readiness gates of others hold a pod back until they are true', () => {
  const pod: PodObject = {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'main' }], readinessGates: [{ conditionType: 'example.org/gate' }] },
    status: { conditions: [{ type: 'example.org/gate', status: 'False' }] },
  };
  const conditions = (gate: string) =>
    podStatus({
      ...facts(running),
      pod: { ...pod, status: { conditions: [{ type: 'example.org/gate', status: gate }] } },
    }).conditions;
  const readyOf = (gate: string): string | undefined => conditions(gate)?.find(({ type }) => type === 'Ready')?.status;
  assert.deepEqual([readyOf('False'), readyOf('True')], ['False', 'True']);
  assert.equal(
    conditions('True')?.some(({ type }) => type === 'example.org/gate'),
    true,
  );
});

test('a condition keeps its time until it changes', () => {
  const before = podStatus(facts(running)).conditions!;
  const pod: PodObject = { ...facts(running).pod, status: { conditions: before } };
  const timeOf = (state: ContainerState): string | undefined =>
    podStatus({ ...facts(state), pod, now: 'later' }).conditions?.find(({ type }) => type === 'Ready')
      ?.lastTransitionTime;
  assert.deepEqual([timeOf(running), timeOf(waiting)], ['now', 'later']);
});
