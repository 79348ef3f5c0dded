// SPDX-License-Identifier: Apache-2.0
//
// What an AuthorizationPolicy becomes at layer 4, judged by the connections it lets in and keeps out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorize } from '#lib/mesh/authorize.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { Identity } from '#lib/mesh/identity.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { ip, workload } from '#lib/testkit/mesh.ts';
import { authorizationPolicy, testModel } from '#lib/testkit/model.ts';
import { DEFAULT_SETTINGS } from '../mesh-settings.ts';
import { convertAuthorizationPolicy } from './authorization-policy.ts';
import type { AuthorizationRule, AuthorizationSpec } from './authorization-spec.ts';

const FRONT = new Identity('cluster.local', 'shop', 'front');
const OTHER = new Identity('td2', 'depot', 'other');

function flow(identity: Identity | undefined, port = 80): InboundFlow {
  return { sourceIp: ip('10.0.0.9'), identity, destinationIp: ip('10.0.0.1'), destinationPort: port };
}

/** Whether a policy of namespace shop lets the connection in. */
function lets(spec: AuthorizationSpec, connection: InboundFlow): boolean {
  const { policy } = convertAuthorizationPolicy(authorizationPolicy('p', spec), DEFAULT_SETTINGS);
  const view = new MapMesh();
  if (policy !== undefined) view.putPolicy(policy);
  return authorize(view, workload({ namespace: 'shop' }), connection, NO_PROOF).allow;
}

/** [rule, connection, does the rule match it]. */
const RULES: readonly [string, AuthorizationRule, InboundFlow, boolean][] = [
  ['an empty rule matches everything', {}, flow(undefined), true],
  ['a principal', { from: [{ source: { principals: [FRONT.principal] } }] }, flow(FRONT), true],
  ['another principal', { from: [{ source: { principals: [FRONT.principal] } }] }, flow(OTHER), false],
  ['any principal, plaintext', { from: [{ source: { principals: ['*'] } }] }, flow(undefined), false],
  ['no principal, plaintext', { from: [{ source: { notPrincipals: ['*'] } }] }, flow(undefined), true],
  ['a prefix', { from: [{ source: { principals: ['cluster.local/*'] } }] }, flow(FRONT), true],
  ['a suffix', { from: [{ source: { principals: ['*/sa/front'] } }] }, flow(FRONT), true],
  ['a namespace', { from: [{ source: { namespaces: ['shop'] } }] }, flow(FRONT), true],
  ['a bare service account', { from: [{ source: { serviceAccounts: ['front'] } }] }, flow(FRONT), true],
  ['an account elsewhere', { from: [{ source: { serviceAccounts: ['depot/other'] } }] }, flow(OTHER), true],
  ['a trust domain', { from: [{ source: { trustDomains: ['td2'] } }] }, flow(OTHER), true],
  ['not a trust domain', { from: [{ source: { notTrustDomains: ['td2'] } }] }, flow(OTHER), false],
  ['a range', { from: [{ source: { ipBlocks: ['10.0.0.0/24'] } }] }, flow(undefined), true],
  ['a bare address', { from: [{ source: { ipBlocks: ['10.0.0.8'] } }] }, flow(undefined), false],
  ['a port', { to: [{ operation: { ports: ['80', '81'] } }] }, flow(FRONT), true],
  ['not a port', { to: [{ operation: { notPorts: ['80'] } }] }, flow(FRONT), false],
  [
    'sources and operations together',
    { from: [{ source: { namespaces: ['shop'] } }], to: [{ operation: { ports: ['81'] } }] },
    flow(FRONT),
    false,
  ],
  [
    'one source of several',
    { from: [{ source: { namespaces: ['x'] } }, { source: { namespaces: ['shop'] } }] },
    flow(FRONT),
    true,
  ],
  ['when: a port', { when: [{ key: 'destination.port', values: ['80'] }] }, flow(FRONT), true],
  ['when: not a namespace', { when: [{ key: 'source.namespace', notValues: ['shop'] }] }, flow(FRONT), false],
  ['when: an address', { when: [{ key: 'source.ip', values: ['10.0.0.0/8'] }] }, flow(FRONT), true],
  ['when: a destination', { when: [{ key: 'destination.ip', values: ['10.0.0.2'] }] }, flow(FRONT), false],
  ['when: a principal', { when: [{ key: 'source.principal', values: [FRONT.principal] }] }, flow(FRONT), true],
];

for (const [what, rule, connection, matches] of RULES) {
  test(`${what}: ALLOW and DENY agree`, () => {
    assert.equal(lets({ action: 'ALLOW', rules: [rule] }, connection), matches);
    assert.equal(lets({ action: 'DENY', rules: [rule] }, connection), !matches);
  });
}

test('an ALLOW rule that asks for HTTP allows nothing, its neighbours do', () => {
  const http: AuthorizationRule = { to: [{ operation: { methods: ['GET'] } }] };
  assert.equal(lets({ rules: [http] }, flow(FRONT)), false);
  assert.equal(lets({ rules: [{ when: [{ key: 'request.headers[x]', values: ['y'] }] }] }, flow(FRONT)), false);
  assert.equal(lets({ rules: [http, { from: [{ source: { namespaces: ['shop'] } }] }] }, flow(FRONT)), true);
});

test('a DENY rule that asks for HTTP denies without asking', () => {
  const deny = (rule: AuthorizationRule, connection: InboundFlow): boolean =>
    !lets({ action: 'DENY', rules: [rule] }, connection);
  assert.equal(deny({ to: [{ operation: { methods: ['GET'] } }] }, flow(FRONT)), true);
  assert.equal(deny({ to: [{ operation: { methods: ['GET'], ports: ['81'] } }] }, flow(FRONT)), false);
  assert.equal(deny({ to: [{ operation: { methods: ['GET'], ports: ['80'] } }] }, flow(FRONT)), true);
  const front: AuthorizationRule = {
    from: [{ source: { principals: [FRONT.principal] } }],
    to: [{ operation: { methods: ['GET'] } }],
  };
  assert.equal(deny(front, flow(FRONT)), true, 'the caller still counts');
  assert.equal(deny(front, flow(OTHER)), false);
  assert.equal(deny({ when: [{ key: 'request.headers[x]', values: ['y'] }] }, flow(OTHER)), true);
});

test('a value that cannot be read allows nothing and denies more', () => {
  const bad: AuthorizationRule = { from: [{ source: { ipBlocks: ['10.0.0.0/99', '192.0.2.0/24'] } }] };
  assert.equal(lets({ rules: [bad] }, flow(FRONT)), false);
  assert.equal(lets({ action: 'DENY', rules: [bad] }, flow(FRONT)), false);
});

test('rules keep their number, so that a proof points at the right one', () => {
  const spec: AuthorizationSpec = {
    rules: [{ to: [{ operation: { methods: ['GET'] } }] }, { from: [{ source: { namespaces: ['shop'] } }] }],
  };
  const { policy } = convertAuthorizationPolicy(authorizationPolicy('p', spec), DEFAULT_SETTINGS);
  const view = new MapMesh();
  view.putPolicy(policy!);
  assert.equal(authorize(view, workload({ namespace: 'shop' }), flow(FRONT), NO_PROOF).rule, 1);
});

test('scope follows selector and namespace', () => {
  const scope = (spec: AuthorizationSpec, within: string) =>
    convertAuthorizationPolicy(authorizationPolicy('p', spec, within), DEFAULT_SETTINGS).policy?.scope;
  assert.equal(scope({ rules: [{}] }, 'shop'), 'namespace');
  assert.equal(scope({ rules: [{}] }, 'istio-system'), 'global');
  assert.equal(scope({ selector: {}, rules: [{}] }, 'shop'), 'selector');
  assert.equal(scope({ selector: { matchLabels: { a: 'b' } }, rules: [{}] }, 'istio-system'), 'selector');
});

test('what node proxies cannot enforce is not sent, and its author is told', () => {
  const sent = (spec: AuthorizationSpec, annotations: Record<string, string> = {}) => {
    const { model } = testModel([authorizationPolicy('p', spec, 'shop', { annotations })]);
    const condition = model.reports.get('AuthorizationPolicy shop/p')?.conditions[0];
    return [model.policies.size, condition && `${condition.type}=${condition.status} ${condition.reason}`];
  };
  const rules = [{}];
  assert.deepEqual(sent({ rules }), [1, 'ZtunnelAccepted=True Accepted']);
  assert.deepEqual(sent({ rules, action: 'AUDIT' }), [0, 'ZtunnelAccepted=False UnsupportedValue']);
  assert.deepEqual(sent({ rules, action: 'CUSTOM', provider: { name: 'x' } }), [
    0,
    'ZtunnelAccepted=False UnsupportedValue',
  ]);
  assert.deepEqual(sent({ rules }, { 'istio.io/dry-run': 'true' }), [0, 'ZtunnelAccepted=False UnsupportedValue']);
  assert.deepEqual(sent({ rules: [{ to: [{ operation: { methods: ['GET'] } }] }] }), [
    1,
    'ZtunnelAccepted=True UnsupportedValue',
  ]);
  assert.deepEqual(sent({ rules, targetRefs: [{ kind: 'Service', group: '', name: 'nowhere' }] }), [
    0,
    'WaypointAccepted=False TargetNotFound',
  ]);
  assert.deepEqual(sent({ action: 'DENY', rules: [{ from: [{ source: { ipBlocks: ['x'] } }] }] }), [
    1,
    'ZtunnelAccepted=False Invalid',
  ]);
});

test('a policy of another revision is left to its own control plane', () => {
  const labelled = (rev: string) =>
    authorizationPolicy('p', { rules: [{}] }, 'shop', { labels: { 'istio.io/rev': rev } });
  assert.equal(testModel([labelled('blue')], { revision: 'green' }).model.policies.size, 0);
  assert.equal(testModel([labelled('green')], { revision: 'green' }).model.policies.size, 1);
  assert.equal(testModel([labelled('blue')]).model.policies.size, 1);
});

test('a policy that cannot be read at all closes its namespace, and says so', () => {
  for (const [action, rules] of [
    ['ALLOW', 0],
    ['DENY', 1],
  ] as const) {
    const spec = { action, rules: 'everybody' } as unknown as AuthorizationSpec;
    const { model } = testModel([authorizationPolicy('p', spec)]);
    const policy = model.policies.get('shop/p');
    assert.deepEqual([policy?.scope, policy?.rules.length], ['namespace', rules]);
    const condition = model.reports.get('AuthorizationPolicy shop/p')?.conditions[0];
    assert.equal(condition?.status, 'False');
    assert.match(condition.message, /spec\.rules: is text; write a list/);
  }
});
