// SPDX-License-Identifier: Apache-2.0
//
// The protocol's RBAC vectors (testdata/matches.json), the meaning of emptiness, the order of verdicts, and that a
// proof never changes a verdict.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ip, type MatchText, mesh, type PolicyText, policy, workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import { authorize } from './authorize.ts';
import type { InboundFlow } from './flow.ts';
import { Identity } from './identity.ts';
import { matchingRule } from './match.ts';
import { formatProof, NO_PROOF, recordProof } from './proof.ts';
import { accessText } from './reason.ts';
import type { AccessVerdict } from './verdict.ts';

const PLAIN: InboundFlow = {
  sourceIp: ip('127.0.0.1'),
  identity: undefined,
  destinationIp: ip('127.0.0.2'),
  destinationPort: 8080,
};
const MESH: InboundFlow = { ...PLAIN, identity: new Identity('td', 'namespace', 'account') };
const ALT: InboundFlow = {
  sourceIp: ip('127.0.0.3'),
  identity: new Identity('td-alt', 'ns-alt', 'sa-alt'),
  destinationIp: ip('127.0.0.4'),
  destinationPort: 9090,
};

const MATCHES: readonly { match: MatchText; plain: boolean; mesh: boolean; alt: boolean }[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'testdata', 'matches.json'), 'utf8'),
);

for (const row of MATCHES) {
  test(`match ${JSON.stringify(row.match)}`, () => {
    const one = policy({ rules: [[[row.match]]] });
    assert.equal(matchingRule(one, PLAIN) >= 0, row.plain, 'plaintext');
    assert.equal(matchingRule(one, MESH) >= 0, row.mesh, 'identity');
    assert.equal(matchingRule(one, ALT) >= 0, row.alt, 'another identity');
  });
}

test('emptiness means nothing, everything or never, by its level', () => {
  const hits = (rules: PolicyText['rules'] & object): boolean => matchingRule(policy({ rules }), MESH) >= 0;
  assert.equal(hits([]), false, 'a policy without rules matches nothing');
  assert.equal(hits([[]]), true, 'a rule without clauses matches everything');
  assert.equal(hits([[[]]]), true, 'a clause without matches matches everything');
  assert.equal(hits([[[{}]]]), false, 'a match without fields matches nothing');
  assert.equal(hits([[[{}, { destinationPorts: [8080] }]]]), true, 'its neighbours may');
  assert.equal(hits([[[{ destinationPorts: [8080] }], [{ namespaces: ['x'] }]]]), false, 'clauses are ANDed');
  assert.equal(hits([[[{ destinationPorts: [1] }]], [[{ namespaces: ['namespace'] }]]]), true, 'rules are ORed');
});

const LOCAL = { name: 'server', namespace: 'shop', ips: ['127.0.0.2'] };

function judge(policies: PolicyText[], flow: InboundFlow, bound: string[] = []): AccessVerdict {
  const view = mesh({ policies });
  const local = workload({ ...LOCAL, authorizationPolicies: bound });
  return authorize(view, local, flow, NO_PROOF);
}

const everything = [[]];

test('without policies everything is let in', () => {
  assert.deepEqual([judge([], PLAIN).allow, judge([], PLAIN).reason], [true, 'no-policy']);
});

test('a denial beats a permission', () => {
  const verdict = judge(
    [
      { name: 'yes', namespace: 'shop', rules: everything },
      { name: 'no', namespace: 'shop', action: 'deny', rules: [[[{ destinationPorts: [8080] }]]] },
    ],
    MESH,
  );
  assert.deepEqual(
    [verdict.allow, verdict.reason, verdict.policy, verdict.rule, verdict.clause],
    [false, 'denied', 'shop/no', 0, 'destination port 8080'],
  );
  assert.match(accessText(verdict), /AuthorizationPolicy shop\/no.*rule 1: destination port 8080/);
});

test('once a permission exists, what none permits is denied', () => {
  const only: PolicyText[] = [{ name: 'only', namespace: 'shop', rules: [[[{ namespaces: ['namespace'] }]]] }];
  assert.equal(judge(only, MESH).reason, 'allowed');
  assert.equal(judge(only, ALT).reason, 'not-allowed');
  assert.equal(judge(only, PLAIN).allow, false);
  assert.equal(judge([{ name: 'nobody', namespace: 'shop' }], MESH).reason, 'not-allowed');
});

test('a policy applies by scope, and by name only where it is named', () => {
  const deny = (fields: PolicyText): PolicyText => ({ name: 'no', action: 'deny', rules: everything, ...fields });
  assert.equal(judge([deny({ namespace: 'shop' })], MESH).allow, false);
  assert.equal(judge([deny({ namespace: 'other' })], MESH).allow, true);
  assert.equal(judge([deny({ namespace: 'other', scope: 'global' })], MESH).allow, false);
  assert.equal(judge([deny({ namespace: 'shop', scope: 'selector' })], MESH).allow, true);
  assert.equal(judge([deny({ namespace: 'shop', scope: 'selector' })], MESH, ['shop/no']).allow, false);
  assert.equal(judge([deny({ namespace: 'other', scope: 'namespace' })], MESH, ['other/no']).allow, false);
});

test('a policy that is named and has not arrived holds the connection', () => {
  const verdict = judge([{ name: 'yes', namespace: 'shop', rules: everything }], MESH, ['shop/later']);
  assert.deepEqual([verdict.allow, verdict.reason, verdict.policy], [false, 'unknown-policy', 'shop/later']);
  const denied = judge([{ name: 'no', namespace: 'shop', action: 'deny', rules: everything }], MESH, ['shop/later']);
  assert.equal(denied.reason, 'denied', 'a denial that is known needs no waiting');
});

test('dry-run policies are reported and decide nothing', () => {
  const verdict = judge(
    [
      { name: 'no', namespace: 'shop', action: 'deny', dryRun: true, rules: everything },
      { name: 'yes', namespace: 'shop', dryRun: true, rules: [[[{ namespaces: ['x'] }]]] },
    ],
    MESH,
  );
  assert.deepEqual([verdict.allow, verdict.reason], [true, 'no-policy']);
  assert.deepEqual(verdict.dryRun, [
    { policy: 'shop/no', action: 'deny', matched: true },
    { policy: 'shop/yes', action: 'allow', matched: false },
  ]);
});

test('STRICT refuses plaintext and says by which setting', () => {
  const strict: PolicyText = {
    name: 'istio_converted_static_strict',
    namespace: 'istio-system',
    scope: 'selector',
    action: 'deny',
    rules: [[[{ notPrincipals: ['*'] }]]],
  };
  const bound = ['istio-system/istio_converted_static_strict'];
  assert.equal(judge([strict], MESH, bound).allow, true);
  const verdict = judge([strict], PLAIN, bound);
  assert.equal(verdict.allow, false);
  assert.match(accessText(verdict), /PeerAuthentication \(mode STRICT\)/);
});

test('a proof never changes a verdict, and names the policy that decided', () => {
  const names = fc.constantFrom('namespace', 'ns-alt', 'n*', '*');
  const matchText = fc.record(
    {
      namespaces: fc.array(names, { maxLength: 2 }),
      notNamespaces: fc.array(names, { maxLength: 1 }),
      principals: fc.array(fc.constantFrom('td/*', '*', '*/sa/account'), { maxLength: 2 }),
      notPrincipals: fc.array(fc.constantFrom('td/*', '*'), { maxLength: 1 }),
      destinationPorts: fc.array(fc.constantFrom(8080, 9090), { maxLength: 2 }),
      sourceIps: fc.array(fc.constantFrom('127.0.0.0/8', '10.0.0.0/8'), { maxLength: 1 }),
    },
    { requiredKeys: [] },
  );
  const rules = fc.array(fc.array(fc.array(matchText, { maxLength: 2 }), { maxLength: 2 }), { maxLength: 2 });
  const policies = fc.array(
    fc.record({
      action: fc.constantFrom('allow' as const, 'deny' as const),
      dryRun: fc.boolean(),
      scope: fc.constantFrom('global' as const, 'namespace' as const, 'selector' as const),
      rules,
    }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(policies, fc.constantFrom(PLAIN, MESH, ALT), fc.boolean(), (list, flow, missing) => {
      const named = list.map((one, i) => ({ ...one, namespace: 'shop', name: `p${i}` }));
      const view = mesh({ policies: named });
      const bound = [...named.map((one) => `shop/${one.name}`), ...(missing ? ['shop/missing'] : [])];
      const local = workload({ ...LOCAL, authorizationPolicies: bound });
      const rec = recordProof();
      const verdict = authorize(view, local, flow, rec);
      assert.deepEqual(authorize(view, local, flow, NO_PROOF), verdict);
      assert.equal(NO_PROOF.steps.length, 0);
      const lines = formatProof(rec.steps).join('\n');
      assert.doesNotMatch(lines, /undefined|\[object/);
      if (verdict.policy !== '') assert.ok(lines.includes(verdict.policy), lines);
      // The same verdict from the definition, evaluated without any of the code's shortcuts.
      const live = named.filter((one) => !one.dryRun);
      const hit = (one: PolicyText): boolean => matchingRule(policy(one), flow) >= 0;
      const want = live.some((one) => one.action === 'deny' && hit(one))
        ? 'denied'
        : missing
          ? 'unknown-policy'
          : !live.some((one) => one.action === 'allow')
            ? 'no-policy'
            : live.some((one) => one.action === 'allow' && hit(one))
              ? 'allowed'
              : 'not-allowed';
      assert.equal(verdict.reason, want);
    }),
    { numRuns: 500 },
  );
});
