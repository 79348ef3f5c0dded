// SPDX-License-Identifier: Apache-2.0
//
// AuthorizationPolicies as waypoints judge by them: from YAML's fields to the verdict on a request.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { denialDetails, type RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, customPolicies, policySet, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import type { RequestFields } from '#lib/mesh/http/request.ts';
import { Identity } from '#lib/mesh/identity.ts';
import { formatProof, NO_PROOF, recordProof } from '#lib/mesh/proof.ts';
import { ip } from '#lib/testkit/mesh.ts';
import { request } from '#lib/testkit/routes.ts';
import { ACCESS_POLICY } from '../l7/resource.ts';
import { accessTargets, convertAccessPolicy } from './access-policy.ts';
import type { AuthorizationPolicy, AuthorizationRule, AuthorizationSpec } from './authorization-spec.ts';

const SETTINGS = { trustDomain: 'cluster.local', trustDomainAliases: ['old.org'] };

function policy(
  spec: AuthorizationSpec,
  name = 'p',
  annotations: Readonly<Record<string, string>> = {},
): AuthorizationPolicy {
  return { metadata: { name, namespace: 'shop', annotations }, spec: spec as AuthorizationPolicy['spec'] & object };
}

interface Asked extends RequestFields {
  /** A connection, no request. */
  readonly stream?: boolean;
}

function judge(policies: readonly AuthorizationPolicy[], line: string, fields: Asked = {}): RequestAccessVerdict {
  const converted = policies.map((one) => {
    const value = convertAccessPolicy(one, SETTINGS, ['shop/cart']);
    const again = ACCESS_POLICY.decode(ACCESS_POLICY.encode(value).bytes);
    assert.deepEqual(again, { ok: true, value }, 'survives the wire');
    return value;
  });
  const set = policySet(converted);
  const flow = requestFlow(request(line, fields));
  if (fields.stream !== true) return authorizeRequest(set.http, flow, NO_PROOF);
  const { request: _none, ...connection } = flow;
  return authorizeRequest(set.tcp, connection, NO_PROOF);
}

function identity(principal: string): Identity {
  const [domain = '', namespace = '', account = ''] = principal.split('/');
  return new Identity(domain, namespace, account);
}

/** Whether one rule lets in under ALLOW; a DENY of the same rule must say the opposite. */
function hits(rule: AuthorizationRule, line: string, fields: Asked = {}): boolean {
  const allowed = judge([policy({ rules: [rule] })], line, fields).allow;
  const denied = !judge([policy({ action: 'DENY', rules: [rule] })], line, fields).allow;
  assert.equal(allowed, denied, JSON.stringify(rule));
  return allowed;
}

type Case = readonly [AuthorizationRule, string, Asked, boolean];

function cases(name: string, list: readonly Case[]): void {
  test(name, () => {
    for (const [rule, line, fields, wanted] of list) {
      assert.equal(hits(rule, line, fields), wanted, `${JSON.stringify(rule)} ${line}`);
    }
  });
}

const to = (operation: object): AuthorizationRule => ({ to: [{ operation }] });
const from = (source: object): AuthorizationRule => ({ from: [{ source }] });
const when = (key: string, ...values: string[]): AuthorizationRule => ({ when: [{ key, values }] });
const whenNot = (key: string, ...notValues: string[]): AuthorizationRule => ({ when: [{ key, notValues }] });

cases('operations: hosts, ports, methods, paths, and none of each', [
  [to({ hosts: ['Shop.org'] }), 'GET SHOP.ORG/', {}, true],
  [to({ hosts: ['shop.org'] }), 'GET shop.org:8080/', {}, true],
  [to({ hosts: ['*.org'] }), 'GET a.org/', {}, true],
  [to({ hosts: ['*.org'] }), 'GET a.com/', {}, false],
  [to({ notHosts: ['a.org'] }), 'GET A.org/', {}, false],
  [to({ ports: ['80'] }), 'GET h/', {}, true],
  [to({ notPorts: ['80'] }), 'GET h/', {}, false],
  [to({ methods: ['PUT', 'GET'] }), 'GET h/', {}, true],
  [to({ methods: ['get'] }), 'GET h/', {}, false],
  [to({ notMethods: ['GET'] }), 'GET h/', {}, false],
  [to({ paths: ['/a'] }), 'GET h/a?b', {}, true],
  [to({ paths: ['/a*'] }), 'GET h/abc', {}, true],
  [to({ paths: ['*.js'] }), 'GET h/x.js', {}, true],
  [to({ notPaths: ['/a*'] }), 'GET h/b', {}, true],
  [to({ methods: ['GET'], paths: ['/a'] }), 'PUT h/a', {}, false],
]);

cases('path templates', [
  [to({ paths: ['/foo/{*}'] }), 'GET h/foo/bar', {}, true],
  [to({ paths: ['/foo/{*}'] }), 'GET h/foo/bar/baz', {}, false],
  [to({ paths: ['/foo/{*}'] }), 'GET h/foo/', {}, false],
  [to({ paths: ['/foo/{**}'] }), 'GET h/foo/bar/baz', {}, true],
  [to({ paths: ['/foo/{**}'] }), 'GET h/foo', {}, false],
  [to({ paths: ['/foo/{**}/'] }), 'GET h/foo/bar/', {}, true],
  [to({ paths: ['/foo/{**}/'] }), 'GET h/foo//', {}, true],
  [to({ paths: ['/foo/{**}/'] }), 'GET h/foo/bar', {}, false],
  [to({ paths: ['/foo/{*}/bar/{**}'] }), 'GET h/foo/x/bar/y/z', {}, true],
]);

const FRONT = identity('cluster.local/shop/front');

cases('sources: principals with aliases, namespaces, accounts, trust domains, addresses', [
  [from({ principals: ['cluster.local/ns/shop/sa/front'] }), 'GET h/', { identity: FRONT }, true],
  [
    from({ principals: ['cluster.local/ns/shop/sa/front'] }),
    'GET h/',
    { identity: identity('old.org/shop/front') },
    true,
  ],
  [
    from({ principals: ['cluster.local/ns/shop/sa/front'] }),
    'GET h/',
    { identity: identity('new.org/shop/front') },
    false,
  ],
  [from({ principals: ['*/sa/front'] }), 'GET h/', { identity: FRONT }, true],
  [from({ principals: ['*'] }), 'GET h/', {}, false],
  [from({ notPrincipals: ['*'] }), 'GET h/', {}, true],
  [from({ namespaces: ['sh*p'] }), 'GET h/', { identity: FRONT }, true],
  [from({ namespaces: ['sh*x'] }), 'GET h/', { identity: FRONT }, false],
  [from({ namespaces: ['web', 'shop'] }), 'GET h/', { identity: FRONT }, true],
  [from({ notNamespaces: ['s*p'] }), 'GET h/', { identity: FRONT }, false],
  [from({ serviceAccounts: ['front'] }), 'GET h/', { identity: FRONT }, true],
  [from({ serviceAccounts: ['web/front'] }), 'GET h/', { identity: FRONT }, false],
  [from({ trustDomains: ['cluster.local'] }), 'GET h/', { identity: identity('old.org/a/b') }, true],
  [from({ trustDomains: ['c*.local'] }), 'GET h/', { identity: FRONT }, true],
  [from({ trustDomains: ['c*.local'] }), 'GET h/', { identity: identity('c.x/shop/a.local') }, false],
  [from({ notTrustDomains: ['*'] }), 'GET h/', { identity: FRONT }, false],
  [
    from({ principals: ['*/sa/front'], trustDomains: ['cluster.local'] }),
    'GET h/',
    { identity: identity('new.org/shop/front') },
    false,
  ],
  [from({ ipBlocks: ['10.0.0.0/8'] }), 'GET h/', { remoteIp: ip('1.2.3.4') }, true],
  [from({ remoteIpBlocks: ['10.0.0.0/8'] }), 'GET h/', { remoteIp: ip('1.2.3.4') }, false],
  [from({ remoteIpBlocks: ['1.2.3.4'] }), 'GET h/', { remoteIp: ip('1.2.3.4') }, true],
  [from({ notRemoteIpBlocks: ['1.0.0.0/8'] }), 'GET h/', { remoteIp: ip('1.2.3.4') }, false],
]);

const CLAIMS = {
  iss: 'https://a/b',
  sub: 'eve',
  aud: ['x', 'y'],
  azp: 'app',
  groups: ['g1', 'g2'],
  realm: { level: 3 },
};

cases('request principals split at the last slash, so that no issuer passes for another', [
  [from({ requestPrincipals: ['*'] }), 'GET h/', { claims: CLAIMS }, true],
  [from({ requestPrincipals: ['*'] }), 'GET h/', {}, false],
  [from({ notRequestPrincipals: ['*'] }), 'GET h/', {}, true],
  [from({ requestPrincipals: ['https://a/b/eve'] }), 'GET h/', { claims: CLAIMS }, true],
  [from({ requestPrincipals: ['https://a/b/*'] }), 'GET h/', { claims: CLAIMS }, true],
  [from({ requestPrincipals: ['*/eve'] }), 'GET h/', { claims: CLAIMS }, true],
  [from({ requestPrincipals: ['https://a/*'] }), 'GET h/', { claims: CLAIMS }, false],
]);

cases('conditions by every key', [
  [when('request.headers[X-Team]', 'a*'), 'GET h/', { headers: { 'x-team': 'abc' } }, true],
  [when('request.headers[X-Team]', '*'), 'GET h/', { headers: { 'x-team': '' } }, false],
  [whenNot('request.headers[X-Team]', 'abc'), 'GET h/', {}, true],
  [when('source.ip', '10.0.0.9'), 'GET h/', {}, true],
  [when('remote.ip', '1.2.3.4'), 'GET h/', { remoteIp: ip('1.2.3.4') }, true],
  [when('source.namespace', 'shop'), 'GET h/', { identity: FRONT }, true],
  [when('source.serviceAccount', 'shop/front'), 'GET h/', { identity: FRONT }, true],
  [when('source.principal', 'cluster.local/ns/shop/sa/front'), 'GET h/', { identity: FRONT }, true],
  [when('source.trustDomain', 'cluster.local'), 'GET h/', { identity: FRONT }, true],
  [when('request.auth.principal', 'https://a/b/eve'), 'GET h/', { claims: CLAIMS }, true],
  [when('request.auth.audiences', 'y'), 'GET h/', { claims: CLAIMS }, true],
  [when('request.auth.presenter', 'app'), 'GET h/', { claims: CLAIMS }, true],
  [when('request.auth.claims[groups]', 'g2'), 'GET h/', { claims: CLAIMS }, true],
  [whenNot('request.auth.claims[groups]', 'g2'), 'GET h/', { claims: CLAIMS }, false],
  [when('request.auth.claims[realm][level]', '3'), 'GET h/', { claims: CLAIMS }, true],
  [when('request.auth.claims[realm][none]', '3'), 'GET h/', { claims: CLAIMS }, false],
  [when('destination.ip', '10.0.0.9'), 'GET h/', {}, true],
  [when('destination.port', '80'), 'GET h/', {}, true],
  [when('connection.sni', 'a.org'), 'GET h/', { serverName: 'a.org' }, true],
]);

cases('lists are alternatives, parts of a rule hold together', [
  [{ ...from({ namespaces: ['shop'] }), ...to({ methods: ['PUT'] }) }, 'GET h/', { identity: FRONT }, false],
  [{ to: [{ operation: { methods: ['PUT'] } }, { operation: { paths: ['/a'] } }] }, 'GET h/a', {}, true],
  [
    {
      when: [
        { key: 'source.namespace', values: ['shop'] },
        { key: 'destination.port', values: ['81'] },
      ],
    },
    'GET h/',
    { identity: FRONT },
    false,
  ],
  [{}, 'GET h/', {}, true],
]);

test('the order is AUDIT, DENY, ALLOW; without rules an ALLOW allows nothing and a DENY denies nothing', () => {
  const any: AuthorizationRule = {};
  const audit = policy({ action: 'AUDIT', rules: [to({ paths: ['/a'] })] }, 'audit');
  const deny = policy({ action: 'DENY', rules: [to({ paths: ['/b'] }), to({ methods: ['DELETE'] })] }, 'deny');
  const allow = policy({ rules: [any] }, 'allow');
  const all = [allow, audit, deny];
  const one = judge(all, 'GET h/a');
  assert.deepEqual([one.allow, one.policy, one.audit], [true, 'shop/allow', ['shop/audit']]);
  const two = judge(all, 'DELETE h/c');
  assert.deepEqual([two.reason, two.policy, two.rule, two.clause], ['denied', 'shop/deny', 1, 'method DELETE']);
  assert.equal(denialDetails(two), 'rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[1]]');
  const three = judge([policy({})], 'GET h/');
  assert.deepEqual(
    [three.allow, three.reason, denialDetails(three)],
    [false, 'not-allowed', 'rbac_access_denied_matched_policy[none]'],
  );
  assert.equal(judge([policy({ action: 'DENY' })], 'GET h/').allow, true);
  assert.equal(judge([audit], 'GET h/').reason, 'no-policy');
});

test('dry-run policies are judged and have no effect', () => {
  const dry = policy({ action: 'DENY', rules: [{}] }, 'dry', { 'istio.io/dry-run': 'true' });
  const verdict = judge([dry], 'GET h/');
  assert.deepEqual([verdict.allow, verdict.dryRun], [true, [{ policy: 'shop/dry', action: 'deny', matched: true }]]);
});

test('CUSTOM policies that match name whom to ask, and deny while nobody is', () => {
  const custom = policy({ action: 'CUSTOM', provider: { name: 'opa' }, rules: [to({ paths: ['/admin*'] })] }, 'custom');
  const set = policySet([convertAccessPolicy(custom, SETTINGS, [])]);
  const asked = (line: string): string[] =>
    customPolicies(set.http, requestFlow(request(line)), NO_PROOF).map(({ provider }) => provider);
  assert.deepEqual([asked('GET h/admin/x'), asked('GET h/')], [['opa'], []]);
  const allows = (line: string, heard: boolean): boolean =>
    authorizeRequest(set.http, requestFlow(request(line)), NO_PROOF, heard).allow;
  assert.deepEqual(
    [allows('GET h/admin', true), allows('GET h/admin', false), allows('GET h/', false)],
    [true, false, true],
  );
});

test('on a stream an ALLOW rule that asks for HTTP never matches, a DENY does without asking', () => {
  const both: AuthorizationRule = { ...from({ namespaces: ['shop'] }), ...to({ paths: ['/a'] }) };
  const asked = { stream: true, identity: FRONT };
  assert.equal(judge([policy({ rules: [both] })], 'GET h/', asked).allow, false);
  assert.equal(judge([policy({ action: 'DENY', rules: [both] })], 'GET h/', asked).allow, false);
  assert.equal(
    judge([policy({ action: 'DENY', rules: [both] })], 'GET h/', {
      stream: true,
      identity: identity('cluster.local/web/x'),
    }).allow,
    true,
  );
  assert.equal(judge([policy({ action: 'DENY', rules: [to({ methods: ['GET'] })] })], 'GET h/', asked).allow, false);
  assert.equal(judge([policy({ rules: [from({ namespaces: ['shop'] })] })], 'GET h/', asked).allow, true);
});

test('what cannot be read allows nothing and denies more', () => {
  const bad: readonly AuthorizationRule[] = [
    from({ ipBlocks: ['ten'], requestPrincipals: ['*'] }),
    from({ remoteIpBlocks: ['ten'] }),
    to({ paths: ['/{**}/{*}'] }),
    to({ paths: ['/a{*}'], methods: ['GET'] }),
    when('experimental.envoy.filters.x[y]', 'z'),
    when('no.such.key', 'z'),
  ];
  for (const rule of bad) {
    const fields = { claims: CLAIMS };
    assert.equal(judge([policy({ rules: [rule] })], 'GET h/', fields).allow, false, JSON.stringify(rule));
    assert.equal(
      judge([policy({ action: 'DENY', rules: [rule] })], 'GET h/', fields).allow,
      false,
      JSON.stringify(rule),
    );
  }
});

test('targets: services, entries and gateways of the own namespace, classes from the root alone', () => {
  const targetRefs = [
    { group: '', kind: 'Service', name: 'cart' },
    { group: 'networking.istio.io', kind: 'ServiceEntry', name: 'away' },
    { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' },
    { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'istio-waypoint' },
  ];
  const own = accessTargets(policy({ targetRefs }), 'istio-system');
  assert.deepEqual(own, { services: ['cart'], serviceEntries: ['away'], gateways: ['waypoint'], gatewayClasses: [] });
  assert.deepEqual(accessTargets(policy({ targetRefs }), 'shop').gatewayClasses, ['istio-waypoint']);
});

test('the proof names policy, rule and what would let the request in', () => {
  const rec = recordProof();
  const set = [
    convertAccessPolicy(
      policy({ rules: [{ ...from({ requestPrincipals: ['a/*'] }), ...to({ paths: ['/a'] }) }] }),
      SETTINGS,
      [],
    ),
  ];
  authorizeRequest(set, requestFlow(request('GET h/b', { identity: FRONT })), rec);
  assert.deepEqual(formatProof(rec.steps), [
    'AuthorizationPolicy shop/p: ALLOW: its rule does not match',
    '  Rule 1: wants path /a: but the path is /b',
    'Waypoint: ALLOW policies: there are some and none matches, so the request is denied',
    '  → would change if: a rule of AuthorizationPolicy shop/p allows principal cluster.local/ns/shop/sa/front to GET /b',
  ]);
});
