// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, KubeObject } from '../json.ts';
import { duration } from './column.ts';
import { readJsonPath } from './json-path.ts';
import { podColumns } from './pod-columns.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('ages read as kubectl writes them', () => {
  const seconds = [
    5,
    119,
    2 * MINUTE,
    9 * MINUTE + 5,
    10 * MINUTE + 5,
    2 * HOUR,
    7 * HOUR + 5 * MINUTE,
    47 * HOUR,
    7 * DAY + HOUR,
    100 * DAY,
    3 * 365 * DAY,
  ];
  assert.deepEqual(seconds.map(duration), [
    '5s',
    '119s',
    '2m',
    '9m5s',
    '10m',
    '120m',
    '7h5m',
    '47h',
    '7d1h',
    '100d',
    '3y',
  ]);
});

test('printer columns follow names, indexes, stars, quotes and filters', () => {
  const object: JsonObject = {
    spec: { hosts: ['a', 'b'], 'x.y': 1 },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Other', status: 'False' },
      ],
    },
  };
  assert.deepEqual(readJsonPath(object, '.spec.hosts[1]'), ['b']);
  assert.deepEqual(readJsonPath(object, '.spec.hosts[*]'), ['a', 'b']);
  assert.deepEqual(readJsonPath(object, ".spec['x.y']"), [1]);
  assert.deepEqual(readJsonPath(object, '.spec.x\\.y'), [1]);
  assert.deepEqual(readJsonPath(object, '.status.conditions[?(@.type=="Ready")].status'), ['True']);
  assert.deepEqual(readJsonPath(object, '.status.none.of.it'), []);
});

const pod = (status: JsonObject, metadata: JsonObject = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', ...metadata },
  spec: { containers: [{ name: 'a' }, { name: 'b' }], initContainers: [{ name: 'i' }] },
  status,
});
const statusOf = (object: KubeObject): unknown =>
  podColumns.find((column) => column.name === 'Status')!.cell(object, 0);

test("a pod's status is the first reason worth telling", () => {
  assert.equal(statusOf(pod({ phase: 'Pending' })), 'Pending');
  assert.equal(statusOf(pod({ phase: 'Running' }, { deletionTimestamp: 'now' })), 'Terminating');
  const waiting = { containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } }, restartCount: 3 }] };
  assert.equal(statusOf(pod({ phase: 'Running', ...waiting })), 'CrashLoopBackOff');
  assert.equal(
    statusOf(pod({ phase: 'Failed', containerStatuses: [{ state: { terminated: { exitCode: 3 } } }] })),
    'ExitCode:3',
  );
  const init = {
    initContainerStatuses: [{ name: 'i', state: { running: {} } }],
    containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
  };
  assert.equal(statusOf(pod({ phase: 'Pending', ...init })), 'Init:0/1');
});
