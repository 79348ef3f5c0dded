// SPDX-License-Identifier: Apache-2.0
//
// What authors of ServiceEntries, WorkloadEntries, WorkloadGroups and RequestAuthentications are told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateFiles } from './files.ts';

function told(kind: string, spec: object, labels: object = {}): string[] {
  const group = kind === 'RequestAuthentication' ? 'security' : 'networking';
  const object = { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name: 'x', namespace: 'shop', labels }, spec };
  const { problems } = validateFiles([{ path: 'x.yaml', text: JSON.stringify(object) }]);
  return problems.map(({ field, message, severity }) => `${severity} ${field}: ${message}`);
}

const GOOD = { hosts: ['api.test'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' };
const TWO = [{ address: '192.0.2.1' }, { address: '192.0.2.2' }];

test('sound objects are told nothing', () => {
  assert.deepEqual(told('ServiceEntry', GOOD), []);
  assert.deepEqual(
    told('ServiceEntry', { ...GOOD, resolution: 'STATIC', endpoints: TWO, addresses: ['10.0.0.0/8'] }),
    [],
  );
  assert.deepEqual(told('WorkloadEntry', { address: 'db.test', labels: { app: 'db' }, ports: { sql: 5432 } }), []);
  assert.deepEqual(told('WorkloadEntry', { address: 'unix:///run/db' }), []);
  assert.deepEqual(told('WorkloadGroup', { template: { serviceAccount: 'db' } }), []);
  assert.deepEqual(told('RequestAuthentication', { jwtRules: [{ issuer: 'a', jwksUri: 'https://a.test/keys' }] }), []);
});

const BAD: readonly (readonly [string, object, RegExp, object?])[] = [
  ['ServiceEntry', { ...GOOD, hosts: [] }, /spec\.hosts/],
  ['ServiceEntry', { ...GOOD, hosts: ['*'] }, /error spec\.hosts\[0\]: "\*" would be every host/],
  ['ServiceEntry', { ...GOOD, hosts: ['a b'] }, /"a b" can be no host/],
  ['ServiceEntry', { ...GOOD, hosts: ['*a.test'], endpoints: TWO }, /warning spec\.hosts\[0\]: .*by chance/],
  ['ServiceEntry', { ...GOOD, hosts: ['*.test'] }, /cannot be resolved by name/],
  ['ServiceEntry', { ...GOOD, endpoints: TWO, workloadSelector: { labels: { a: 'b' } } }, /beside endpoints/],
  ['ServiceEntry', { ...GOOD, addresses: ['nowhere'] }, /"nowhere" is no address or range/],
  ['ServiceEntry', { ...GOOD, addresses: ['10.0.0.0/8'] }, /a range cannot stand beside resolution DNS/],
  ['ServiceEntry', { ...GOOD, ports: [...GOOD.ports, { number: 81, name: 'http' }] }, /"http" names another port/],
  ['ServiceEntry', { ...GOOD, ports: [...GOOD.ports, { number: 80, name: 'b' }] }, /80 stands twice/],
  ['ServiceEntry', { ...GOOD, ports: [{ number: 70_000, name: 'b' }] }, /70000 is no port/],
  ['ServiceEntry', { ...GOOD, resolution: 'NONE', endpoints: TWO }, /not used with resolution NONE/],
  ['ServiceEntry', { ...GOOD, resolution: 'DNS_ROUND_ROBIN', endpoints: TWO }, /takes one endpoint/],
  ['ServiceEntry', { ...GOOD, endpoints: [{ address: '192.0.2.1', ports: { other: 1 } }] }, /named "other"/],
  ['ServiceEntry', { ...GOOD, resolution: 'STATIC', endpoints: [{ address: 'db.test' }] }, /STATIC does not resolve/],
  [
    'ServiceEntry',
    { ...GOOD, hosts: ['a.test', 'b.test'], ports: [{ number: 1, name: 't', protocol: 'TCP' }] },
    /TCP carries no host/,
  ],
  ['ServiceEntry', { ...GOOD, resolution: 'DYNAMIC_DNS' }, /DYNAMIC_DNS is for wildcards/],
  [
    'ServiceEntry',
    { ...GOOD, hosts: ['*.test'], resolution: 'DYNAMIC_DNS', addresses: ['192.0.2.1'] },
    /spec\.addresses: cannot stand beside resolution DYNAMIC_DNS/,
  ],
  [
    'ServiceEntry',
    { hosts: ['*.test'], resolution: 'DYNAMIC_DNS', ports: [{ number: 1, name: 't', protocol: 'TCP' }] },
    /carries no host that could be resolved/,
  ],
  [
    'ServiceEntry',
    { ...GOOD, hosts: ['*.test'], resolution: 'DYNAMIC_DNS', location: 'MESH_INTERNAL' },
    /names outside the mesh/,
    { 'istio.io/use-waypoint': 'w' },
  ],
  ['WorkloadEntry', {}, /error spec\.address: is required/],
  ['WorkloadEntry', { network: 'yard' }, /warning spec\.address: is empty/],
  ['WorkloadEntry', { address: '300.1.1.1' }, /"300\.1\.1\.1" is no address/],
  ['WorkloadEntry', { address: 'unix:///run/db', ports: { a: 1 } }, /a socket has no ports/],
  ['WorkloadEntry', { address: '192.0.2.1', ports: { a: 0 } }, /0 is no port/],
  ['WorkloadEntry', { address: '192.0.2.1', labels: { app: 'a b' } }, /"a b" can be no label’s value/],
  ['WorkloadGroup', { metadata: { labels: {} } }, /spec\.template/],
  ['WorkloadGroup', { template: {}, metadata: { labels: { 'a b': 'c' } } }, /"a b" can be no label/],
  ['RequestAuthentication', { jwtRules: [{ audiences: ['a'] }] }, /issuer: is required without jwksUri/],
  ['RequestAuthentication', { jwtRules: [{ issuer: 'a', jwksUri: 'nowhere' }] }, /"nowhere" is no address of keys/],
  ['RequestAuthentication', { jwtRules: [{ issuer: 'a', jwks: '{}' }] }, /is no set of keys/],
  ['RequestAuthentication', { jwtRules: [{ issuer: 'a', fromHeaders: [{ name: '' }] }] }, /fromHeaders\[0\]\.name/],
  [
    'RequestAuthentication',
    { selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'x' }] },
    /cannot stand beside selector/,
  ],
];
for (const [kind, spec, pattern, labels] of BAD) {
  test(`${kind} ${JSON.stringify(spec)} is told ${pattern.source}`, () => {
    assert.match(told(kind, spec, labels).join('\n'), pattern);
  });
}
