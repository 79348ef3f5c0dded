// SPDX-License-Identifier: Apache-2.0
//
// May this connection come in? Denials first, then permissions, as Istio orders them, with one difference: a policy
// that the workload names and that has not arrived holds the connection (`unknown-policy`) instead of passing it,
// since it may be the one that denies.

import type { InboundFlow } from './flow.ts';
import { matchingRule } from './match.ts';
import { ruleHitText, ruleMissText } from './match-text.ts';
import type { Policy } from './policy.ts';
import type { Recorder } from './proof.ts';
import type { AccessVerdict, DryRunOf, DryRunOutcome } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, type Workload } from './workload.ts';

const NO_DRY_RUN: readonly DryRunOutcome[] = [];

const NO_POLICY: AccessVerdict = {
  allow: true,
  reason: 'no-policy',
  policy: '',
  rule: -1,
  clause: '',
  dryRun: NO_DRY_RUN,
};

/** Name of the policy by which STRICT mutual TLS arrives, in the root namespace. */
export const STATIC_STRICT = 'istio_converted_static_strict';
const CONVERTED = 'converted_peer_authentication_';
const ALLOW_WAYPOINT = 'istio_allow_waypoint_';

/** What an operator wrote that became this policy: `PeerAuthentication shop/strict`, `AuthorizationPolicy shop/x`. */
export function describePolicy(key: string): string {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  if (name === STATIC_STRICT) return 'PeerAuthentication (mode STRICT)';
  if (name.startsWith(CONVERTED)) {
    return `PeerAuthentication ${key.slice(0, slash)}/${name.slice(CONVERTED.length)} (port modes)`;
  }
  if (name.startsWith(ALLOW_WAYPOINT)) return `Policy ${key} (lets the waypoint in)`;
  return `AuthorizationPolicy ${key}`;
}

/** The smallest thing that would have let a denied connection in. */
function wayIn(policy: Judged, rule: number, flow: InboundFlow): string {
  const name = policy.key.slice(policy.key.indexOf('/') + 1);
  if (name === STATIC_STRICT || name.startsWith(CONVERTED)) {
    return flow.identity === undefined
      ? 'the client joins the mesh, or the PeerAuthentication that applies says PERMISSIVE'
      : 'the PeerAuthentication that applies says PERMISSIVE';
  }
  return `rule ${rule + 1} of ${describePolicy(policy.key)} excepts this connection or goes away`;
}

/** What a rule would have to say for a connection that nothing allows. */
function missingRule(policy: Policy, flow: InboundFlow): string {
  const who = flow.identity === undefined ? `address ${flow.sourceIp.text}` : `principal ${flow.identity.principal}`;
  const also = flow.identity === undefined ? '; if it should ask for an identity, the client joins the mesh' : '';
  return `a rule of ${describePolicy(policy.key)} allows ${who} on port ${flow.destinationPort}${also}`;
}

/**
 * Judges a connection to `local`.
 * @param local the destination workload, whose policies apply
 * @param flow source and destination as they will be on the wire behind this proxy
 */
export function authorize(view: MeshView, local: Workload, flow: InboundFlow, rec: Recorder): AccessVerdict {
  const names = local.authorizationPolicies;
  const ofNamespace = view.namespacePolicies(local.namespace);
  const ofMesh = view.globalPolicies();
  if (names.length === 0 && ofNamespace.length === 0 && ofMesh.length === 0) {
    if (rec.enabled) {
      rec.step(
        `Workload ${describeWorkload(local)}`,
        '',
        'policies that apply',
        'none, so every connection is let in',
        'an AuthorizationPolicy or a STRICT PeerAuthentication selects it',
      );
    }
    return NO_POLICY;
  }
  const policies = [...ofMesh, ...ofNamespace];
  const missing = bound(view, local, policies);
  const dryRun: DryRunOutcome[] = [];

  const denied = evaluate('deny', policies, flow, dryRun, rec);
  if (denied !== undefined) {
    const rule = matchingRule(denied, flow);
    return {
      allow: false,
      reason: 'denied',
      policy: denied.key,
      rule,
      clause: ruleHitText(denied.rules[rule]!, flow),
      dryRun,
    };
  }
  if (missing !== '') {
    if (rec.enabled) {
      rec.step(
        describePolicy(missing),
        '',
        `bound to workload ${describeWorkload(local)}`,
        'not received from the control plane, so the connection is held',
        'the policy arrives, or the workload no longer names it',
      );
    }
    return { allow: false, reason: 'unknown-policy', policy: missing, rule: -1, clause: '', dryRun };
  }
  const allowed = evaluate('allow', policies, flow, dryRun, rec);
  if (allowed !== undefined) {
    return {
      allow: true,
      reason: 'allowed',
      policy: allowed.key,
      rule: matchingRule(allowed, flow),
      clause: '',
      dryRun,
    };
  }
  for (const policy of policies) {
    if (policy.action === 'allow' && !policy.dryRun) {
      if (rec.enabled) {
        rec.step(
          `Workload ${describeWorkload(local)}`,
          '',
          'ALLOW policies',
          'there are some and none matches, so the connection is denied',
          missingRule(policy, flow),
        );
      }
      return { allow: false, reason: 'not-allowed', policy: policy.key, rule: -1, clause: '', dryRun };
    }
  }
  if (rec.enabled) {
    rec.step(
      `Workload ${describeWorkload(local)}`,
      '',
      'policies that apply',
      'no DENY matches and no ALLOW exists: let in',
    );
  }
  return dryRun.length === 0 ? NO_POLICY : { ...NO_POLICY, dryRun };
}

/** Adds the policies the workload names; returns the first that is missing, or ''. */
function bound(view: MeshView, local: Workload, policies: Policy[]): string {
  let missing = '';
  for (const key of local.authorizationPolicies) {
    const policy = view.policy(key);
    if (policy === undefined) {
      if (missing === '') missing = key;
    } else if (policy.scope === 'selector' || (policy.scope === 'namespace' && policy.namespace !== local.namespace)) {
      policies.push(policy);
    }
  }
  return missing;
}

/** A policy of either layer. */
export type Judged = Pick<Policy, 'key' | 'dryRun' | 'rules'> & { readonly action: string };

/** The first enforced policy of `action` that matches. Dry-run ones are judged on the way and reported. */
export function evaluate<P extends Judged>(
  action: P['action'],
  policies: readonly P[],
  flow: InboundFlow,
  dryRun: DryRunOf<P['action']>[],
  rec: Recorder,
): P | undefined {
  let decisive: P | undefined;
  for (const policy of policies) {
    if (policy.action !== action || (decisive !== undefined && !policy.dryRun)) continue;
    const rule = matchingRule(policy, flow);
    if (rec.enabled) provePolicy(policy, rule, flow, rec);
    if (policy.dryRun) dryRun.push({ policy: policy.key, action, matched: rule >= 0 });
    else if (rule >= 0) decisive = policy;
  }
  return decisive;
}

export function provePolicy(policy: Judged, matched: number, flow: InboundFlow, rec: Recorder): void {
  const object = describePolicy(policy.key);
  const effect = policy.dryRun ? `${policy.action.toUpperCase()}, dry run` : policy.action.toUpperCase();
  if (policy.rules.length === 0) {
    rec.step(object, '', effect, 'has no rules, so it matches nothing', 'it has a rule that matches the connection');
    return;
  }
  if (matched >= 0) {
    const hit = ruleHitText(policy.rules[matched]!, flow);
    const change = policy.action === 'deny' && !policy.dryRun ? wayIn(policy, matched, flow) : '';
    rec.step(object, `rule ${matched + 1}`, effect, `matches: ${hit}`, change);
    return;
  }
  rec.step(object, '', effect, policy.rules.length === 1 ? 'its rule does not match' : 'none of its rules matches');
  policy.rules.forEach((rule, index) => {
    const { has, wants } = ruleMissText(rule, flow);
    const outcome = has === '' ? 'which never holds at this layer' : `but ${has}`;
    rec.step(`Rule ${index + 1}`, '', `wants ${wants}`, outcome, '', 1);
  });
}
