// SPDX-License-Identifier: Apache-2.0
// The wheel against a plain sorted list.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { type TimerId, TimerWheel } from './timer-wheel.ts';

type Step =
  | { readonly kind: 'add'; readonly ms: number }
  | { readonly kind: 'cancel'; readonly pick: number }
  | { readonly kind: 'advance'; readonly ms: number };

const delays = fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(2_000_000), fc.nat(2 ** 27));
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), ms: delays }),
  fc.record({ kind: fc.constant('cancel' as const), pick: fc.nat(1000) }),
  fc.record({ kind: fc.constant('advance' as const), ms: delays }),
);

test('each timer fires once, never early, and in the first advance at or after its time', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 200 }), fc.nat(10 ** 6), (list, start) => {
      let now = start;
      const wheel = new TimerWheel(start);
      const model = new Map<TimerId, number>();
      const target = {
        onTimer(id: TimerId) {
          const due = model.get(id);
          assert.ok(due !== undefined, 'an unknown or cancelled timer fired');
          assert.ok(due <= now, `fired ${due - now} ms early`);
          model.delete(id);
        },
      };
      for (const step of list) {
        if (step.kind === 'add') model.set(wheel.add(now + step.ms, target), now + Math.max(step.ms, 1));
        if (step.kind === 'cancel') {
          const id = [...model.keys()][step.pick % Math.max(model.size, 1)];
          if (id !== undefined) {
            assert.equal(wheel.cancel(id), true);
            assert.equal(wheel.cancel(id), false);
            model.delete(id);
          }
        }
        if (step.kind === 'advance') {
          const soonest = Math.min(...model.values());
          assert.ok(wheel.delay(now, Number.MAX_SAFE_INTEGER) <= soonest - now || model.size === 0, 'would oversleep');
          now += step.ms;
          wheel.advance(now);
          for (const due of model.values()) assert.ok(due > now, `a timer is ${now - due} ms late`);
        }
        assert.equal(wheel.size, model.size);
      }
    }),
    { numRuns: 300 },
  );
});

test('sleeping for delay() and advancing visits every timer on time', () => {
  const wheel = new TimerWheel(0);
  const fired: number[] = [];
  let now = 0;
  const target = { onTimer: () => void fired.push(now) };
  const times = [1, 2, 255, 256, 257, 1000, 16_383, 16_384, 70_000, 1_100_000];
  for (const time of times) wheel.add(time, target);
  for (let rounds = 0; wheel.size > 0; rounds++) {
    assert.ok(rounds < 100, 'too many wakes');
    now += wheel.delay(now, 100_000);
    wheel.advance(now);
  }
  assert.deepEqual(fired, times);
});

test('a timer added by a timer waits for a later advance', () => {
  const wheel = new TimerWheel(0);
  let count = 0;
  const target = {
    onTimer: () => {
      count++;
      wheel.add(0, target);
    },
  };
  wheel.add(1, target);
  wheel.advance(500);
  assert.equal(count, 1);
  wheel.advance(501);
  assert.equal(count, 2);
});

test('a timer may cancel another of the same moment', () => {
  const wheel = new TimerWheel(0);
  const ids: TimerId[] = [];
  let count = 0;
  const target = {
    onTimer(id: TimerId) {
      count++;
      for (const other of ids) if (other !== id) assert.equal(wheel.cancel(other), true);
    },
  };
  ids.push(wheel.add(5, target), wheel.add(5, target));
  wheel.advance(5);
  assert.equal(count, 1);
  assert.equal(wheel.size, 0);
});

test('an id from before never cancels a later timer in its place', () => {
  const wheel = new TimerWheel(0);
  const target = { onTimer: () => {} };
  const old = wheel.add(5, target);
  wheel.cancel(old);
  const young = wheel.add(5, target);
  assert.notEqual(old, young);
  assert.equal(wheel.cancel(old), false);
  assert.equal(wheel.size, 1);
});
