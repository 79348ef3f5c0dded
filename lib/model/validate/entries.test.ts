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

const BAD: readonly (readonly [title: string, kind: string, spec: object, told: RegExp, labels?: object])[] = [
  ['a ServiceEntry without hosts', 'ServiceEntry', { ...GOOD, hosts: [] }, /spec\.hosts/],
  [
    'a host that would be every host',
    'ServiceEntry',
    { ...GOOD, hosts: ['*'] },
    /error spec\.hosts\[0\]: "\*" would be every host/,
  ],
  ['a host that can be none', 'ServiceEntry', { ...GOOD, hosts: ['a b'] }, /"a b" can be no host/],
  [
    'a wildcard inside a label',
    'ServiceEntry',
    { ...GOOD, hosts: ['*a.test'], endpoints: TWO },
    /warning spec\.hosts\[0\]: .*by chance/,
  ],
  [
    'a wildcard that cannot be resolved by name',
    'ServiceEntry',
    { ...GOOD, hosts: ['*.test'] },
    /cannot be resolved by name/,
  ],
  [
    'endpoints beside a selector',
    'ServiceEntry',
    { ...GOOD, endpoints: TWO, workloadSelector: { labels: { a: 'b' } } },
    /beside endpoints/,
  ],
  ['an address that is none', 'ServiceEntry', { ...GOOD, addresses: ['nowhere'] }, /"nowhere" is no address or range/],
  [
    'a range where names are resolved',
    'ServiceEntry',
    { ...GOOD, addresses: ['10.0.0.0/8'] },
    /a range cannot stand beside resolution DNS/,
  ],
  [
    'two ports of one name',
    'ServiceEntry',
    { ...GOOD, ports: [...GOOD.ports, { number: 81, name: 'http' }] },
    /"http" names another port/,
  ],
  [
    'two ports of one number',
    'ServiceEntry',
    { ...GOOD, ports: [...GOOD.ports, { number: 80, name: 'b' }] },
    /80 stands twice/,
  ],
  ['a port beyond 65535', 'ServiceEntry', { ...GOOD, ports: [{ number: 70_000, name: 'b' }] }, /70000 is no port/],
  [
    'endpoints without resolution',
    'ServiceEntry',
    { ...GOOD, resolution: 'NONE', endpoints: TWO },
    /not used with resolution NONE/,
  ],
  [
    'several endpoints in turn by name',
    'ServiceEntry',
    { ...GOOD, resolution: 'DNS_ROUND_ROBIN', endpoints: TWO },
    /takes one endpoint/,
  ],
  [
    'an endpoint’s port that the entry lacks',
    'ServiceEntry',
    { ...GOOD, endpoints: [{ address: '192.0.2.1', ports: { other: 1 } }] },
    /named "other"/,
  ],
  [
    'a name where addresses are static',
    'ServiceEntry',
    { ...GOOD, resolution: 'STATIC', endpoints: [{ address: 'db.test' }] },
    /STATIC does not resolve/,
  ],
  [
    'several hosts on a TCP port',
    'ServiceEntry',
    { ...GOOD, hosts: ['a.test', 'b.test'], ports: [{ number: 1, name: 't', protocol: 'TCP' }] },
    /TCP carries no host/,
  ],
  [
    'dynamic resolution of a plain host',
    'ServiceEntry',
    { ...GOOD, resolution: 'DYNAMIC_DNS' },
    /DYNAMIC_DNS is for wildcards/,
  ],
  [
    'dynamic resolution beside addresses',
    'ServiceEntry',
    { ...GOOD, hosts: ['*.test'], resolution: 'DYNAMIC_DNS', addresses: ['192.0.2.1'] },
    /spec\.addresses: cannot stand beside resolution DYNAMIC_DNS/,
  ],
  [
    'dynamic resolution of a protocol without hosts',
    'ServiceEntry',
    { hosts: ['*.test'], resolution: 'DYNAMIC_DNS', ports: [{ number: 1, name: 't', protocol: 'TCP' }] },
    /carries no host that could be resolved/,
  ],
  [
    'dynamic resolution inside the mesh by a waypoint',
    'ServiceEntry',
    { ...GOOD, hosts: ['*.test'], resolution: 'DYNAMIC_DNS', location: 'MESH_INTERNAL' },
    /names outside the mesh/,
    { 'istio.io/use-waypoint': 'w' },
  ],
  ['a WorkloadEntry without address or network', 'WorkloadEntry', {}, /error spec\.address: is required/],
  ['a WorkloadEntry with a network alone', 'WorkloadEntry', { network: 'yard' }, /warning spec\.address: is empty/],
  ['a machine’s address that is none', 'WorkloadEntry', { address: '300.1.1.1' }, /"300\.1\.1\.1" is no address/],
  ['ports of a socket', 'WorkloadEntry', { address: 'unix:///run/db', ports: { a: 1 } }, /a socket has no ports/],
  ['a machine’s port 0', 'WorkloadEntry', { address: '192.0.2.1', ports: { a: 0 } }, /0 is no port/],
  [
    'a label’s value with a space',
    'WorkloadEntry',
    { address: '192.0.2.1', labels: { app: 'a b' } },
    /"a b" can be no label’s value/,
  ],
  ['a WorkloadGroup without template', 'WorkloadGroup', { metadata: { labels: {} } }, /spec\.template/],
  [
    'a label’s name with a space',
    'WorkloadGroup',
    { template: {}, metadata: { labels: { 'a b': 'c' } } },
    /"a b" can be no label/,
  ],
  [
    'a JWT rule without issuer or keys',
    'RequestAuthentication',
    { jwtRules: [{ audiences: ['a'] }] },
    /issuer: is required without jwksUri/,
  ],
  [
    'an address of keys that is none',
    'RequestAuthentication',
    { jwtRules: [{ issuer: 'a', jwksUri: 'nowhere' }] },
    /"nowhere" is no address of keys/,
  ],
  ['keys that are no set', 'RequestAuthentication', { jwtRules: [{ issuer: 'a', jwks: '{}' }] }, /is no set of keys/],
  [
    'a header without name',
    'RequestAuthentication',
    { jwtRules: [{ issuer: 'a', fromHeaders: [{ name: '' }] }] },
    /fromHeaders\[0\]\.name/,
  ],
  [
    'a selector beside targets',
    'RequestAuthentication',
    { selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'x' }] },
    /cannot stand beside selector/,
  ],
];
for (const [title, kind, spec, pattern, labels] of BAD) {
  test(`${title} is told`, () => {
    assert.match(told(kind, spec, labels).join('\n'), pattern);
  });
}
