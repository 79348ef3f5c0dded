// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { conditionsToWrite, type WantedCondition } from './conditions.ts';

const OWNED = new Set(['ZtunnelAccepted']);
const NOW = Date.UTC(2026, 0, 2);
const accepted: WantedCondition = { type: 'ZtunnelAccepted', status: 'True', reason: 'Accepted', message: 'attached' };
const written = { ...accepted, lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 };

test('nothing is written when the object says it already', () => {
  equal(conditionsToWrite([written], [accepted], OWNED, 1, NOW), undefined);
  equal(conditionsToWrite([], [], OWNED, 1, NOW), undefined);
});

test('a new condition gets the time of now', () => {
  deepEqual(conditionsToWrite([], [accepted], OWNED, 1, NOW), [
    { ...accepted, lastTransitionTime: '2026-01-02T00:00:00Z', observedGeneration: 1 },
  ]);
});

test('another message or generation keeps the time of the transition, another status does not', () => {
  const times = (wanted: WantedCondition, generation: number) =>
    conditionsToWrite([written], [wanted], OWNED, generation, NOW)?.map(({ lastTransitionTime }) => lastTransitionTime);
  deepEqual(times({ ...accepted, message: 'other' }, 1), ['2026-01-01T00:00:00Z']);
  deepEqual(times(accepted, 2), ['2026-01-01T00:00:00Z']);
  deepEqual(times({ ...accepted, status: 'False' }, 1), ['2026-01-02T00:00:00Z']);
});

test('a condition of ours that no longer applies is removed, others are left alone', () => {
  deepEqual(conditionsToWrite([written], [], OWNED, 1, NOW), []);
  equal(conditionsToWrite([{ type: 'Other', status: 'True' }], [], OWNED, 1, NOW), undefined);
});
