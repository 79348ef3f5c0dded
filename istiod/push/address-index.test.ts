// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { service, workload } from '#lib/testkit/mesh.ts';
import { AddressIndex } from './address-index.ts';

const WEB = 'shop/web.shop.svc.cluster.local';
const pod = (name: string, ip: string, node = 'n1') =>
  workload({ name, namespace: 'shop', ips: [ip], node, serves: { [WEB]: { '80': 8080 } } });
const UID = 'Kubernetes//Pod/shop/web-1';

function setUp(): AddressIndex {
  const index = new AddressIndex();
  index.setWorkload(pod('web-1', '10.0.0.1'));
  index.setService(service({ name: 'web', namespace: 'shop', vips: ['10.96.0.1', '10.97.0.0/16'] }));
  return index;
}

test('a workload is meant by its uid and its addresses', () => {
  const index = setUp();
  deepEqual(index.resolve(UID), [UID]);
  deepEqual(index.resolve('/10.0.0.1'), [UID]);
  deepEqual(index.resolve('other/10.0.0.1'), []);
  deepEqual(index.aliases(UID), ['/10.0.0.1']);
});

test('a service is meant by its name and virtual addresses, and brings its workloads along', () => {
  const index = setUp();
  for (const key of [WEB, '/10.96.0.1', '/10.97.0.0/16']) deepEqual(index.resolve(key), [WEB, UID]);
  index.setWorkload(pod('web-2', '10.0.0.2'));
  deepEqual(index.resolve(WEB).length, 3);
  index.removeWorkload(UID);
  deepEqual(index.resolve(WEB), [WEB, 'Kubernetes//Pod/shop/web-2']);
});

test('what changes its address is no longer meant by the old one', () => {
  const index = setUp();
  index.setWorkload(pod('web-1', '10.0.0.9', 'n2'));
  deepEqual(index.resolve('/10.0.0.1'), []);
  deepEqual(index.resolve('/10.0.0.9'), [UID]);
  deepEqual(index.onNode('n1'), []);
  deepEqual(index.onNode('n2'), [UID]);
  deepEqual([index.onNode('n2', 'Kubernetes'), index.onNode('n2', 'far')], [[UID], []]);
  index.removeService(WEB);
  deepEqual(index.resolve('/10.96.0.1'), []);
});

test('a host-network workload is not meant by its node’s address', () => {
  const index = new AddressIndex();
  index.setWorkload(workload({ name: 'agent', ips: ['192.168.0.1'], hostNetwork: true }));
  deepEqual(index.resolve('/192.168.0.1'), []);
});

test('the keys of a resource are those that mean it', () => {
  const index = setUp();
  deepEqual(index.keysOf(UID), ['/10.0.0.1', WEB, '/10.96.0.1', '/10.97.0.0/16']);
  for (const key of index.keysOf(UID)) deepEqual(index.resolve(key).includes(UID), true);
  deepEqual(index.keysOf(WEB), ['/10.96.0.1', '/10.97.0.0/16']);
});
