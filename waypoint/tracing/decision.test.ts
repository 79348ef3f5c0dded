// SPDX-License-Identifier: Apache-2.0
import { equal, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type DecisionInputs, decide, markedId, UUID_MARK } from './decision.ts';

const NOBODY: DecisionInputs = {
  sampled: undefined,
  requestId: undefined,
  forced: false,
  clientTraced: false,
  share: 0.01,
};
const ID = 'ffffffff-0000-4000-8000-000000000000';
const always = () => 0;
const never = () => 0.999;

test('whoever decided before has the last word', () => {
  equal(decide({ ...NOBODY, sampled: false, share: 1, forced: true }, always), UUID_MARK.none);
  equal(decide({ ...NOBODY, sampled: true, share: 0 }, never), UUID_MARK.sampled);
});

test('a request’s id carries the decision', () => {
  for (const mark of [UUID_MARK.sampled, UUID_MARK.forcedByClient, UUID_MARK.forcedByServer]) {
    equal(decide({ ...NOBODY, requestId: markedId(ID, mark), share: 0 }, never), mark);
  }
  equal(decide({ ...NOBODY, requestId: 'no uuid at all', share: 0 }, never), UUID_MARK.none);
});

test('clients and proxies may force it', () => {
  equal(decide({ ...NOBODY, clientTraced: true, share: 0 }, never), UUID_MARK.forcedByClient);
  equal(decide({ ...NOBODY, forced: true, share: 0 }, never), UUID_MARK.forcedByServer);
});

test('chance decides otherwise, alike wherever the same id is seen', () => {
  equal(
    decide(NOBODY, () => 0.0099),
    UUID_MARK.sampled,
  );
  equal(
    decide(NOBODY, () => 0.01),
    UUID_MARK.none,
  );
  let sampled = 0;
  for (let i = 0; i < 4000; i++) {
    const inputs = { ...NOBODY, requestId: randomUUID(), share: 0.25 };
    const mark = decide(inputs, always);
    equal(decide(inputs, never), mark);
    if (mark === UUID_MARK.sampled) sampled++;
  }
  // Nine standard deviations.
  ok(Math.abs(sampled - 1000) < 250, String(sampled));
});

test('only UUIDs are marked', () => {
  equal(markedId(ID, UUID_MARK.sampled), 'ffffffff-0000-9000-8000-000000000000');
  equal(markedId('mine', UUID_MARK.sampled), 'mine');
});
