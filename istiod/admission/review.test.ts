// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { SchemaChecker } from '#lib/model/validate/schema.ts';
import { ALWAYS_REJECT, reviewAdmission } from './review.ts';

const schemas = new SchemaChecker();
const policy = (spec: unknown, more: object = {}) => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'shop' },
  spec,
  ...more,
});
const BAD = policy({ action: 'DENY', rules: [{ from: [{ source: { ipBlocks: ['10.0.0.0/64'] } }] }] });
const GOOD = policy({ rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] });

function review(object: unknown, request: object = {}, apiVersion = 'admission.k8s.io/v1') {
  const body = JSON.stringify({ apiVersion, request: { uid: 'u1', operation: 'CREATE', object, ...request } });
  const answer = reviewAdmission('application/json', body, schemas);
  const { response } = JSON.parse(answer.body) as {
    response: { uid: string; allowed: boolean; status?: { message: string }; warnings?: string[] };
  };
  return { ...response, outcome: answer.outcome };
}

test('a sound object is admitted, in either version of the review', () => {
  for (const version of ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1']) {
    const { allowed, outcome, uid } = review(GOOD, {}, version);
    deepEqual([uid, allowed, outcome.kind], ['u1', true, 'passed']);
  }
});

test('what `ambit validate` calls an error is refused with object, field and fix', () => {
  const { allowed, outcome, status } = review(BAD);
  equal(allowed, false);
  match(status?.message ?? '', /spec\.rules\[0\]\.from\[0\]\.source\.ipBlocks\[0\]: "10\.0\.0\.0\/64" is no address/);
  equal(outcome.kind === 'failed' && outcome.reason, 'invalid_resource');
});

test('an unknown field, inside or beside the spec, is refused', () => {
  match(review(policy({ ruls: [] })).status?.message ?? '', /did you mean rules/);
  match(review(policy({ rules: [] }, { rules: [] })).status?.message ?? '', /rules: is no field of an object/);
});

test('a kind or version that is not known is refused', () => {
  const { allowed, outcome } = review({ ...GOOD, apiVersion: 'security.istio.io/v9' });
  equal(allowed, false);
  equal(outcome.kind === 'failed' && outcome.reason, 'unknown_type');
});

test('a warning comes along and refuses nothing', () => {
  const http = policy({ action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] });
  const { allowed, warnings } = review(http);
  equal(allowed, true);
  match((warnings ?? []).join(), /methods/);
});

test('a kind that nothing of ours obeys is admitted, and its author is told', () => {
  const metadata = { name: 'x', namespace: 'shop' };
  const told = (apiVersion: string, kind: string, spec: object): string => {
    const { allowed, warnings } = review({ apiVersion, kind, metadata, spec });
    equal(allowed, true, kind);
    return (warnings ?? []).join();
  };
  const extension = { targetRefs: [{ kind: 'Service', group: '', name: 'web' }], phase: 'AUTHN' };
  match(told('extensions.istio.io/v1alpha1', 'TrafficExtension', extension), /waypoints run no extensions/);
  match(told('extensions.istio.io/v1alpha1', 'WasmPlugin', { url: 'oci://x' }), /waypoints run no extensions/);
  match(told('networking.istio.io/v1alpha3', 'EnvoyFilter', {}), /no effect here.*Envoy/);
  match(told('networking.istio.io/v1', 'Sidecar', {}), /there are no sidecars/);
  match(told('networking.istio.io/v1', 'Gateway', { servers: [] }), /no gateway is run for it/);
});

test('deletions and writes of status are nobody’s business here', () => {
  equal(review(BAD, { operation: 'DELETE' }).allowed, true);
  equal(review(BAD, { subResource: 'status' }).allowed, true);
  equal(review(null).allowed, true);
});

test('the object that asks whether the webhook is reached is always refused', () => {
  const metadata = { name: 'invalid-gateway', namespace: 'istio-system', annotations: { [ALWAYS_REJECT]: 'true' } };
  equal(review({ apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata, spec: {} }).allowed, false);
});

test('what is no review is answered with the reason and a status', () => {
  const cases: [string, string, number][] = [
    ['text/plain', '{}', 415],
    ['application/json', '', 400],
    ['application/json', '{', 400],
    ['application/json; charset=utf-8', '{"apiVersion":"v1"}', 400],
  ];
  for (const [type, body, status] of cases) equal(reviewAdmission(type, body, schemas).status, status);
});
