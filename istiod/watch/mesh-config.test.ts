// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem } from '#lib/kit/result.ts';
import { DEFAULT_SETTINGS } from '#lib/model/mesh-settings.ts';
import { readMeshConfig } from './mesh-config.ts';

const read = (mesh?: string) =>
  readMeshConfig(
    mesh === undefined ? undefined : { metadata: { name: 'istio', namespace: 'istio-system' }, data: { mesh } },
    DEFAULT_SETTINGS,
  );

test('no config map, no key and no text mean the defaults', () => {
  for (const text of [undefined, '', '# nothing', '{}']) deepEqual(read(text), { ok: true, value: DEFAULT_SETTINGS });
});

test('what reaches ambient is read, the rest of MeshConfig is left alone', () => {
  const result = read(`
trustDomain: example.org
rootNamespace: mesh-root
trustDomainAliases: [old.org]
discoverySelectors: [{matchLabels: {team: a}}]
accessLogFile: /dev/stdout
`);
  equal(result.ok && result.value.trustDomain, 'example.org');
  equal(result.ok && result.value.rootNamespace, 'mesh-root');
  deepEqual(result.ok && result.value.trustDomainAliases, ['old.org']);
  deepEqual(result.ok && result.value.discoverySelectors, [{ team: 'a' }]);
});

const BAD: [string, RegExp][] = [
  ['trustDomain: [', /ConfigMap istio-system\/istio: data.mesh: not readable as YAML/],
  ['- a', /is no map of settings/],
  ['trustDomain: "a b"', /data.mesh: trustDomain: "a b" is no name; write for example cluster.local/],
  ['trustDomainAliases: x', /trustDomainAliases: is no list/],
  ['discoverySelectors: [{matchExpressions: []}]', /matchExpressions of a selector is not understood/],
];
for (const [text, pattern] of BAD) {
  test(`${JSON.stringify(text)} is refused with object, field and reason`, () => {
    const result = read(text);
    match(result.ok ? '' : result.problems.map(formatProblem).join('; '), pattern);
  });
}
