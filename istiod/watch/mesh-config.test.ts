// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem } from '#lib/kit/result.ts';
import { DEFAULT_SETTINGS } from '#lib/model/mesh-settings.ts';
import { visibilityIn } from '#lib/model/service/visibility.ts';
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
  deepEqual(result.ok && result.value.discoverySelectors, [{ matchLabels: { team: 'a' }, matchExpressions: [] }]);
});

test('visibility of ServiceEntries is a list of rules, and the first that fits counts', () => {
  const result = read(`
serviceEntryVisibility:
  policies:
    - rules: [{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}}]
      visibility: NAMESPACE
    - rules: [{namespaceSelector: {matchLabels: {hidden: "true"}}}]
      visibility: NONE
  defaultVisibility: PUBLIC
`);
  const rules = result.ok ? result.value.visibility : [];
  const of = (labels: Record<string, string>) =>
    visibilityIn({ metadata: { name: 'x', labels } }, { visibility: rules });
  deepEqual(
    [of({ team: 'a' }), of({ team: 'c' }), of({ hidden: 'true' }), of({})],
    ['namespace', 'public', 'none', 'public'],
  );
});

test('scopes of services say which are one with those of other clusters', () => {
  const result = read('serviceScopeConfigs: [{servicesSelector: {matchLabels: {far: "yes"}}, scope: GLOBAL}]');
  deepEqual(result.ok && result.value.serviceScopes.map(({ global, services }) => [global, services.matchLabels]), [
    [true, { far: 'yes' }],
  ]);
});

test('how waypoints read paths is a setting of the mesh', () => {
  const how = (text: string) => {
    const result = read(text);
    return result.ok && result.value.pathNormalisation;
  };
  deepEqual(['{}', 'pathNormalization: {}', 'pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}'].map(how), [
    'base',
    'base',
    'decode-and-merge-slashes',
  ]);
});

const BAD: [string, RegExp][] = [
  ['pathNormalization: {normalization: SOME}', /pathNormalization.normalization: "SOME" is no normalisation/],
  ['trustDomain: [', /ConfigMap istio-system\/istio: data.mesh: not readable as YAML/],
  ['- a', /is no map of settings/],
  ['trustDomain: "a b"', /data.mesh: trustDomain: "a b" is no name; write for example cluster.local/],
  ['trustDomainAliases: x', /trustDomainAliases: is no list/],
  ['discoverySelectors: [{matchExpressions: []}]', /discoverySelectors\[0\]: a selector is empty/],
  ['discoverySelectors: [{matchFields: {}}]', /matchFields of a selector is not understood/],
  ['discoverySelectors: [{matchExpressions: [{key: a, operator: Near}]}]', /operator "Near" is none of In, NotIn/],
  ['serviceEntryVisibility: {policies: [{visibility: SOME}]}', /policies\[0\].visibility: "SOME" is no visibility/],
  ['serviceScopeConfigs: [{scope: HERE}]', /serviceScopeConfigs\[0\].scope: "HERE" is no scope/],
];
for (const [text, pattern] of BAD) {
  test(`${JSON.stringify(text)} is refused with object, field and reason`, () => {
    const result = read(text);
    match(result.ok ? '' : result.problems.map(formatProblem).join('; '), pattern);
  });
}
