// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodObject, PodSpec } from './pod.ts';
import { hostsFile, resolvConf } from './resolver.ts';

const names = {
  domain: 'cluster.local',
  servers: ['10.96.0.10'],
  nodeResolvConf: 'nameserver 192.0.2.1\nsearch example.org\n',
};
const pod = (spec: Partial<PodSpec> = {}): PodObject => ({
  metadata: { name: 'p', namespace: 'shop' },
  spec: { containers: [], ...spec },
});

test('a pod asks the cluster’s DNS, its own namespace first', () => {
  assert.equal(
    resolvConf(pod(), names),
    'nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
  );
});

test('a pod in the node’s network asks as the node does, unless it wants the cluster’s DNS', () => {
  assert.equal(resolvConf(pod({ hostNetwork: true }), names), 'nameserver 192.0.2.1\nsearch example.org\n');
  const wants = pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
  assert.match(resolvConf(wants, names), /^nameserver 10\.96\.0\.10\n/);
});

test('dnsConfig adds servers and searches and replaces options of the same name', () => {
  const dnsConfig = {
    nameservers: ['192.0.2.9'],
    searches: ['a.example'],
    options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
  };
  assert.equal(
    resolvConf(pod({ dnsConfig }), names),
    'nameserver 10.96.0.10\nnameserver 192.0.2.9\nsearch shop.svc.cluster.local svc.cluster.local cluster.local a.example\noptions ndots:2 edns0\n',
  );
  assert.equal(
    resolvConf(pod({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.9'] } }), names),
    'nameserver 192.0.2.9\n',
  );
});

test('the hosts file has the pod’s names for each address, and its aliases', () => {
  const text = hostsFile(
    pod({ hostname: 'web-0', subdomain: 'web', hostAliases: [{ ip: '192.0.2.5', hostnames: ['x', 'y'] }] }),
    ['10.244.1.2', 'fd00::2'],
    'cluster.local',
  );
  assert.match(text, /^10\.244\.1\.2\tweb-0\.web\.shop\.svc\.cluster\.local\tweb-0$/m);
  assert.match(text, /^fd00::2\tweb-0\.web/m);
  assert.match(text, /^192\.0\.2\.5\tx\ty$/m);
});
