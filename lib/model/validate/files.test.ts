// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import fc from '#lib/testkit/properties.ts';
import { formatFileProblem, validateFiles } from './files.ts';

function lines(...texts: string[]): string[] {
  const files = texts.map((text, i) => ({ path: `${i + 1}.yaml`, text }));
  return validateFiles(files).problems.map(formatFileProblem);
}

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec:
`;

/** Object, field and a word of the fix: what every problem must name. */
const CASES: readonly [string, string, string][] = [
  [
    'an unknown dataplane mode',
    'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: typo\n  labels:\n    istio.io/dataplane-mode: ambiant\n',
    '1.yaml:6: error: Namespace typo: metadata.labels[istio.io/dataplane-mode]: value "ambiant" is not known, so the label has no effect; did you mean "ambient"? Known: ambient, none',
  ],
  [
    'a bad address block',
    `${POLICY}  action: DENY\n  rules:\n  - from:\n    - source:\n        ipBlocks:\n        - 10.0.0.0/64\n`,
    '1.yaml:10: error: AuthorizationPolicy shop/p: spec.rules[0].from[0].source.ipBlocks[0]: "10.0.0.0/64" is no address or range; write it as 10.0.0.0/8 or 2001:db8::/32',
  ],
  [
    'a bad port',
    `${POLICY}  rules: [{to: [{operation: {ports: ["70000"]}}]}]\n`,
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.rules[0].to[0].operation.ports[0]: "70000" is no port; write a number from 1 to 65535',
  ],
  [
    'an unknown field',
    `${POLICY}  rules: [{form: []}]\n`,
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.rules[0].form: is no field of this kind, and would be dropped; did you mean from?',
  ],
  [
    'an unknown action',
    `${POLICY}  action: BLOCK\n`,
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.action: "BLOCK" is not a value of this field; write one of ALLOW, DENY, AUDIT, CUSTOM',
  ],
  [
    'a denial without rules',
    `${POLICY}  action: DENY\n`,
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.rules: a DENY policy without rules denies nothing; add a rule; {} matches all',
  ],
  [
    'an unknown key of a condition',
    `${POLICY}  rules: [{when: [{key: source.namespaces, values: [x]}]}]\n`,
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.rules[0].when[0].key: "source.namespaces" is not known; did you mean source.namespace?',
  ],
  [
    'a selector beside targets',
    `${POLICY}  selector: {matchLabels: {a: b}}\n  targetRefs: [{kind: Service, group: "", name: s}]\n  rules: [{}]\n`,
    '1.yaml:6: error: AuthorizationPolicy shop/p: spec.targetRefs: cannot stand beside selector; keep one of selector, targetRefs',
  ],
  [
    'a denial by HTTP attributes',
    `${POLICY}  action: DENY\n  rules: [{to: [{operation: {methods: [GET]}}]}]\n`,
    '1.yaml:6: warning: AuthorizationPolicy shop/p: spec.rules[0]: methods can only be judged by a waypoint; node proxies deny without looking at it; attach the policy to a waypoint with targetRefs, or deny by ports and sources only',
  ],
  [
    'a permission by HTTP attributes',
    `${POLICY}  rules: [{to: [{operation: {paths: ["/x"], ports: ["80"]}}]}]\n`,
    '1.yaml:5: warning: AuthorizationPolicy shop/p: spec.rules[0]: paths can only be judged by a waypoint; at node proxies this rule allows nothing; attach the policy to a waypoint with targetRefs',
  ],
  [
    'an action that node proxies do not know',
    `${POLICY}  action: AUDIT\n  rules: [{}]\n`,
    '1.yaml:5: warning: AuthorizationPolicy shop/p: spec.action: action AUDIT is not known to node proxies, so the policy has no effect; attach the policy to a waypoint with targetRefs',
  ],
  [
    'port modes without a selector',
    'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: shop}\nspec:\n  portLevelMtls:\n    "80": {mode: STRICT}\n',
    '1.yaml:5: error: PeerAuthentication shop/p: spec.selector: is required with portLevelMtls, since ports are those of workloads; add spec.selector.matchLabels',
  ],
  [
    'a version that does not exist',
    'apiVersion: security.istio.io/v7\nkind: PeerAuthentication\nmetadata: {name: p}\n',
    '1.yaml:1: error: PeerAuthentication default/p: apiVersion: security.istio.io/v7 has no PeerAuthentication; write security.istio.io/v1',
  ],
  [
    'a label that YAML takes for something else',
    'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: nn\n  labels:\n    team: on\n',
    '1.yaml:6: error: Namespace nn: metadata.labels[team]: is no text; write it in quotes: "true"',
  ],
];

for (const [what, text, line] of CASES) {
  test(`${what} is told with object, field and fix`, () => {
    assert.deepEqual(lines(text), [line]);
  });
}

test('sound objects of any kind pass without a word', () => {
  assert.deepEqual(
    lines(
      'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}\n',
      `${POLICY}  selector: {matchLabels: {app: cart}}\n  rules: [{from: [{source: {namespaces: [shop]}}]}]\n`,
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: shop}\nspec: {template: {metadata: {labels: {app: cart}}}}\n',
      'apiVersion: example.org/v1\nkind: Anything\nmetadata: {name: x}\nspec: {whatever: 1}\n',
      '# nothing but a comment\n',
    ),
    [],
  );
});

test('malformed YAML is told with file and line', () => {
  const [line, ...rest] = lines('apiVersion: v1\nkind: Namespace\nmetadata: {name: x\n');
  assert.match(line!, /^1\.yaml:[34]: error: /);
  assert.deepEqual(rest, []);
});

test('what a policy names is missed when its neighbours are there, and only then', () => {
  const policy = `${POLICY}  targetRefs: [{kind: Service, group: "", name: nowhere}]\n  rules: [{}]\n`;
  const other = 'apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: shop}\n';
  assert.deepEqual(lines(policy), [], 'a Service may be on the cluster');
  assert.deepEqual(lines(policy, other), [
    '1.yaml:5: error: AuthorizationPolicy shop/p: spec.targetRefs[0].name: Service shop/nowhere does not exist; create it, or correct the name',
  ]);
});

test('accounts, namespaces and selectors that lead nowhere are warnings', () => {
  const text = lines(
    `${POLICY}  selector: {matchLabels: {app: nobody}}\n  rules: [{from: [{source: {serviceAccounts: [ghost]}}, {source: {namespaces: [lost]}}, {source: {principals: [cluster.local/ns/shop/sa/ghost]}}]}]\n`,
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n',
    'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: real, namespace: shop}\n',
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\n',
  ).join('\n');
  for (const part of ['app=nobody', 'ServiceAccount shop/ghost', 'Namespace lost', 'principals[0]']) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
  assert.doesNotMatch(text, /error/);
});

test('an object that is there twice is told with its first place', () => {
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: nn}\n';
  assert.deepEqual(lines(namespace, `---\n${namespace}`), [
    '2.yaml:4: error: Namespace nn: metadata.name: is defined before, at 1.yaml:1; keep one of them',
  ]);
});

test('Lists are taken apart, with the lines of their items', () => {
  const list =
    'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: nn\n    labels:\n      istio.io/dataplane-mode: x\n';
  assert.match(lines(list)[0]!, /^1\.yaml:9: error: Namespace nn: /);
});

test('no text and no object makes it throw', () => {
  // Names that mean something to the language stand where names may stand.
  const trap = fc
    .constantFrom('toString', 'valueOf', 'toJSON', 'constructor', 'length')
    .chain((key) => fc.record({ [key]: fc.constantFrom('', 1, null) }));
  const value = fc.oneof({ weight: 3, arbitrary: fc.jsonValue({ maxDepth: 4 }) }, trap);
  const kind = fc.constantFrom(
    ['v1', 'Pod'],
    ['v1', 'Service'],
    ['v1', 'Namespace'],
    ['discovery.k8s.io/v1', 'EndpointSlice'],
    ['security.istio.io/v1', 'AuthorizationPolicy'],
    ['security.istio.io/v1', 'PeerAuthentication'],
    ['gateway.networking.k8s.io/v1', 'Gateway'],
  );
  const metadata = fc.oneof(
    value,
    fc.record({ name: fc.constantFrom('a', 'b'), namespace: fc.constant('n'), labels: value, annotations: value }),
    fc.record({ name: value, namespace: value, generateName: value, ownerReferences: value }, { requiredKeys: [] }),
    fc.record({ name: fc.constantFrom('a', 'b'), namespace: fc.constant('n') }),
  );
  const spec = fc.oneof(
    value,
    fc.record({ selector: value, rules: value, ports: value, listeners: value }, { requiredKeys: [] }),
    fc.record({ rules: fc.array(fc.record({ from: value, to: value, when: value }, { requiredKeys: [] })) }),
  );
  const object = fc.record({ of: kind, metadata, spec, status: value }).map(({ of, ...rest }) => ({
    apiVersion: of[0],
    kind: of[1],
    ...rest,
  }));
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof({ weight: 5, arbitrary: object }, fc.record({ apiVersion: value, kind: value, metadata }), value),
        { maxLength: 4 },
      ),
      (objects) => {
        lines(...objects.map((one) => stringify(one)));
      },
    ),
    { numRuns: 80 },
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constantFrom('*!', 'a: *b', '&a [*a, *a]')), (text) => void lines(text)),
  );
});
