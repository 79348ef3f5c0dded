// SPDX-License-Identifier: Apache-2.0
// The controllers' decisions without a server: rollout arithmetic, placement, endpoints.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, KubeObject } from '../api/json.ts';
import { slicesOf, subsetsOf } from './endpoint-model.ts';
import { refusesNode } from './placement.ts';
import { share, templateHash } from './pods.ts';
import { limitsOf, nextSizes, type SetSize } from './rollout.ts';

const BLOCKING = ['NoSchedule', 'NoExecute'];
const node = (name: string, spec: JsonObject = {}, labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec,
});

test('shares of a total round as the strategy says', () => {
  assert.deepEqual(
    [share('25%', 3, 'up'), share('25%', 3, 'down'), share(2, 3, 'up'), share(undefined, 3, 'up')],
    [1, 0, 2, 0],
  );
  assert.deepEqual(limitsOf(1, 0, '25%'), { surge: 0, unavailable: 1 });
});

test('a rolling update keeps enough pods available at every step and ends with only new ones', () => {
  for (const [desired, surge, unavailable] of [
    [1, '25%', '25%'],
    [4, '25%', '25%'],
    [3, 0, 1],
    [10, '50%', 0],
  ] as const) {
    const limits = limitsOf(desired, surge, unavailable);
    let fresh: SetSize = { replicas: 0, available: 0 };
    let old: SetSize = { replicas: desired, available: desired };
    for (let step = 0; step < 50 && (fresh.available < desired || old.replicas > 0); step++) {
      const next = nextSizes(desired, limits, fresh, [old]);
      assert.ok(next.fresh + next.old[0]! <= desired + limits.surge, `too many pods in step ${step}`);
      // Pods that are dropped stop at once; new ones are available one step later.
      assert.ok(
        Math.min(fresh.available, next.fresh) + Math.min(old.available, next.old[0]!) >= desired - limits.unavailable,
        `too few pods in step ${step}`,
      );
      old = { replicas: next.old[0]!, available: next.old[0]! };
      fresh = { replicas: next.fresh, available: fresh.replicas === next.fresh ? next.fresh : fresh.available };
    }
    assert.deepEqual(
      [fresh, old],
      [
        { replicas: desired, available: desired },
        { replicas: 0, available: 0 },
      ],
    );
  }
});

test('old pods that do not serve go first, also when nothing else may', () => {
  assert.deepEqual(
    nextSizes(3, { surge: 1, unavailable: 0 }, { replicas: 0, available: 0 }, [{ replicas: 4, available: 2 }]).old,
    [3],
  );
});

test('equal templates have equal hashes whatever their order', () => {
  assert.equal(templateHash({ a: 1, b: { c: [1], d: 2 } }), templateHash({ b: { d: 2, c: [1] }, a: 1 }));
  assert.notEqual(templateHash({ a: 1 }), templateHash({ a: 2 }));
});

test('taints, selectors and cordons keep pods away unless tolerated or matched', () => {
  const tainted = node('a', { taints: [{ key: 'x', value: '1', effect: 'NoSchedule' }] });
  assert.match(refusesNode({}, tainted, BLOCKING) ?? '', /untolerated taint \{x: 1\}/);
  assert.equal(refusesNode({ tolerations: [{ key: 'x', operator: 'Exists' }] }, tainted, BLOCKING), undefined);
  assert.equal(
    refusesNode({ tolerations: [{ operator: 'Exists' }] }, node('a', { unschedulable: true }), BLOCKING),
    undefined,
  );
  assert.match(refusesNode({}, node('a', { unschedulable: true }), BLOCKING) ?? '', /unschedulable/);
  assert.match(refusesNode({ nodeSelector: { disk: 'ssd' } }, node('a'), BLOCKING) ?? '', /selector/);
  const terms = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['z1'] }] }] };
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } };
  assert.equal(refusesNode({ affinity }, node('a', {}, { zone: 'z1' }), BLOCKING), undefined);
  assert.match(refusesNode({ affinity }, node('a', {}, { zone: 'z2' }), BLOCKING) ?? '', /affinity/);
});

const pod = (name: string, ips: string[], ready: boolean, more: JsonObject = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', uid: name, labels: { app: 'web' }, ...more },
  spec: {
    nodeName: 'n1',
    containers: [{ name: 'c', ports: [{ name: 'http', containerPort: name === 'c' ? 9090 : 8080 }] }],
  },
  status: {
    phase: 'Running',
    podIP: ips[0]!,
    podIPs: ips.map((ip) => ({ ip })),
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
  },
});

test('endpoints come in a slice per family and resolved port, with their conditions', () => {
  const service: KubeObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      selector: { app: 'web' },
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [{ name: 'web', port: 80, targetPort: 'http', protocol: 'TCP', appProtocol: 'http' }],
    },
  };
  const pods = [
    pod('a', ['10.0.0.1', 'fd00::1'], true),
    pod('b', ['10.0.0.2'], false),
    pod('c', ['10.0.0.3'], true),
    pod('d', ['10.0.0.4'], true, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    pod('e', ['10.0.0.5'], true, { labels: { app: 'other' } }),
  ];
  const slices = slicesOf(service, pods, () => 'z1');
  const brief = slices.map(({ family, ports, endpoints }) => [
    family,
    ports[0]?.['port'],
    endpoints.map((item) => [item['addresses'], item['conditions']]),
  ]);
  const state = (ready: boolean, serving: boolean, terminating: boolean): JsonObject => ({
    ready,
    serving,
    terminating,
  });
  assert.deepEqual(brief, [
    [
      'IPv4',
      8080,
      [
        [['10.0.0.1'], state(true, true, false)],
        [['10.0.0.2'], state(false, false, false)],
        [['10.0.0.4'], state(false, true, true)],
      ],
    ],
    ['IPv4', 9090, [[['10.0.0.3'], state(true, true, false)]]],
    ['IPv6', 8080, [[['fd00::1'], state(true, true, false)]]],
  ]);
  const [subset] = subsetsOf(service, slices) as JsonObject[];
  assert.deepEqual(
    (subset!['addresses'] as JsonObject[]).map((item) => item['ip']),
    ['10.0.0.1'],
  );
  assert.deepEqual(
    (subset!['notReadyAddresses'] as JsonObject[]).map((item) => item['ip']),
    ['10.0.0.2'],
  );
});
