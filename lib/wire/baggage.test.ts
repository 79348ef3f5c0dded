// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { type Baggage, EMPTY_BAGGAGE, formatBaggage, parseBaggage } from './baggage.ts';
import { isFieldValue } from './h2/headers.ts';

const cart: Baggage = {
  cluster: 'Kubernetes',
  namespace: 'shop',
  workloadType: 'deployment',
  workloadName: 'cart-v1',
  service: 'cart',
  version: 'v1',
  region: 'north',
  zone: 'north-1',
};
const text =
  'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart-v1,' +
  'service.name=cart,service.version=v1,cloud.region=north,cloud.availability_zone=north-1';

test('a workload is written in the fixed order, and read back', () => {
  assert.equal(formatBaggage(cart), text);
  assert.deepEqual(parseBaggage([text]), cart);
});

test('empty items are left out', () => {
  assert.equal(
    formatBaggage({ ...EMPTY_BAGGAGE, namespace: 'shop', service: 'cart' }),
    'k8s.namespace.name=shop,service.name=cart',
  );
  assert.equal(formatBaggage(EMPTY_BAGGAGE), '');
  assert.deepEqual(parseBaggage(['service.name=,cloud.region']), EMPTY_BAGGAGE);
});

test('a value that would read as another item is left out', () => {
  for (const name of ['a,service.name=admin', 'a=b', 'a\r\nx: y', 'a b', 'a;b', '\u00e9'])
    assert.equal(formatBaggage({ ...cart, workloadName: name }).includes('k8s.deployment.name'), false, name);
});

test('several headers, blanks, unknown items and repetitions are read', () => {
  const got = parseBaggage([
    'service.name=a, service.version=v2',
    'k8s.pod.name=p,x=y,service.name=b,k8s.replicaset.name=r',
  ]);
  assert.deepEqual(got, { ...EMPTY_BAGGAGE, service: 'b', version: 'v2', workloadType: 'pod', workloadName: 'p' });
});

test('whatever workload it is, the text is a header value and names nothing that was not there', () => {
  const value = fc.string({ unit: 'binary', maxLength: 12 });
  const workload = fc.record({
    cluster: value,
    namespace: value,
    workloadType: fc.constantFrom('deployment', 'cronjob', 'pod', 'job', 'statefulset', ''),
    workloadName: value,
    service: value,
    version: value,
    region: value,
    zone: value,
  });
  fc.assert(
    fc.property(workload, (baggage) => {
      const header = formatBaggage(baggage);
      assert.ok(isFieldValue(header));
      const got = parseBaggage([header]);
      for (const field of Object.keys(got) as (keyof Baggage)[])
        assert.ok(got[field] === '' || got[field] === baggage[field]);
    }),
  );
});
