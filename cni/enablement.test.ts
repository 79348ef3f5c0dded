// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSelectors, eligibility, matchesLabels } from './enablement.ts';

const pod = (labels: Record<string, string> = {}, more: Partial<Parameters<typeof eligibility>[0]> = {}) => ({
  hostNetwork: false,
  labels,
  annotations: {},
  ...more,
});
const ambient = { 'istio.io/dataplane-mode': 'ambient' };

test('the label on the namespace enrols its pods, the label on a pod enrols that one', () => {
  assert.ok(eligibility(pod(), ambient).eligible);
  assert.ok(eligibility(pod(ambient), {}).eligible);
  assert.ok(!eligibility(pod(), {}).eligible);
});

test('a pod opts out with none, with its node’s network, or with a sidecar', () => {
  const out = [
    pod({ 'istio.io/dataplane-mode': 'none' }),
    pod(ambient, { hostNetwork: true }),
    pod(ambient, { annotations: { 'sidecar.istio.io/status': '' } }),
  ];
  for (const each of out) assert.ok(!eligibility(each, ambient).eligible);
  assert.match(eligibility(out[0]!, ambient).reason, /none/);
});

test('every operator of a selector is honoured, an unknown one matches nothing and is refused', () => {
  const matches = (operator: string, values: string[], labels: Record<string, string>) =>
    matchesLabels({ matchExpressions: [{ key: 'a', operator, values }] }, labels);
  assert.deepEqual(
    [
      matches('In', ['x'], { a: 'x' }),
      matches('In', ['x'], {}),
      matches('NotIn', ['x'], {}),
      matches('NotIn', ['x'], { a: 'x' }),
    ],
    [true, false, true, false],
  );
  assert.deepEqual(
    [matches('Exists', [], { a: '' }), matches('DoesNotExist', [], { a: '' }), matches('Gt', ['1'], { a: '2' })],
    [true, false, false],
  );
  const checked = checkSelectors([{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Gt' }] } }], 'SELECTOR');
  assert.ok(!checked.ok && checked.problems[0]?.field === 'SELECTOR[0].podSelector.matchExpressions[0].operator');
});
