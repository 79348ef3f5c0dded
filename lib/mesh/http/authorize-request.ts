// SPDX-License-Identifier: Apache-2.0
//
// May this request pass the waypoint? The evaluator of node proxies with the actions of layer 7, in Istio's order:
// CUSTOM (asked elsewhere, before this), AUDIT, DENY, ALLOW. Policies come from the service and from the waypoint
// itself; those of workloads are the node proxy's.

import { describePolicy, evaluate, provePolicy } from '../authorize.ts';
import type { InboundFlow } from '../flow.ts';
import { matchingRule } from '../match.ts';
import { ruleHitText } from '../match-text.ts';
import { EMPTY_MATCH, type Rule } from '../policy.ts';
import type { Recorder } from '../proof.ts';
import type { DryRunOf } from '../verdict.ts';
import type { AccessAction, AccessPolicy, RequestAccessVerdict } from './access-policy.ts';
import type { RequestView } from './request.ts';

/** The policies of one service at one waypoint. */
export interface PolicySet {
  /** As they are, for requests. */
  readonly http: readonly AccessPolicy[];
  /** What is left of them for a stream that is no HTTP. */
  readonly tcp: readonly AccessPolicy[];
  /** The CUSTOM ones of each, which are asked for elsewhere. */
  readonly custom: { readonly http: readonly AccessPolicy[]; readonly tcp: readonly AccessPolicy[] };
}

const NEVER: Rule = { clauses: [{ matches: [EMPTY_MATCH] }] };

/** Policies of one service, made ready. Order is kept. */
export function policySet(policies: readonly AccessPolicy[]): PolicySet {
  const tcp = policies.map(withoutHttp);
  return { http: policies, tcp, custom: { http: policies.filter(isCustom), tcp: tcp.filter(isCustom) } };
}

function isCustom({ action, dryRun }: AccessPolicy): boolean {
  return action === 'custom' && !dryRun;
}

/**
 * For a stream without requests: an ALLOW rule that asks for HTTP never matches, in other actions what it asks of
 * HTTP is dropped, so that a denial denies more.
 */
function withoutHttp(policy: AccessPolicy): AccessPolicy {
  return { ...policy, rules: policy.rules.map((rule) => ruleWithoutHttp(rule, policy.action)) };
}

function ruleWithoutHttp(rule: Rule, action: AccessAction): Rule {
  if (!rule.clauses.some(({ matches }) => matches.some(({ http }) => http !== undefined))) return rule;
  if (action === 'allow') return NEVER;
  const clauses = rule.clauses.flatMap((clause) => {
    const matches = clause.matches.map(({ http: _dropped, ...rest }) => rest);
    // A match of which nothing is left holds always, and with it its clause.
    const always = matches.some((match) =>
      Object.values(match).every(({ any, none }) => any.length + none.length === 0),
    );
    return always ? [] : [{ matches }];
  });
  return { clauses };
}

/** A request as policies see it. */
export function requestFlow(request: RequestView): InboundFlow {
  const { sourceIp, identity, destinationIp, port } = request;
  return { sourceIp, identity, destinationIp, destinationPort: port, request };
}

const NO_DRY_RUN: readonly DryRunOf<AccessAction>[] = [];
const NO_AUDIT: readonly string[] = [];

const NO_POLICY: RequestAccessVerdict = {
  allow: true,
  reason: 'no-policy',
  policy: '',
  rule: -1,
  clause: '',
  audit: NO_AUDIT,
  dryRun: NO_DRY_RUN,
};

/**
 * The CUSTOM policies that match, in order, the first of each provider: it must be asked, and all must allow, before
 * {@link authorizeRequest} is. Dry-run ones are left out.
 */
export function customPolicies(
  policies: readonly AccessPolicy[],
  flow: InboundFlow,
  rec: Recorder,
): readonly AccessPolicy[] {
  let asked: AccessPolicy[] | undefined;
  for (const policy of policies) {
    if (policy.action !== 'custom' || policy.dryRun) continue;
    const rule = matchingRule(policy, flow);
    if (rec.enabled) provePolicy(policy, rule, flow, rec);
    if (rule < 0 || asked?.some(({ provider }) => provider === policy.provider) === true) continue;
    asked ??= [];
    asked.push(policy);
  }
  return asked ?? NO_POLICIES;
}

const NO_POLICIES: readonly AccessPolicy[] = [];

/**
 * @param policies `http` of the set for a request, `tcp` for a stream
 * @param asked whether the providers of {@link customPolicies} have been asked and allow it; otherwise a CUSTOM policy
 * that matches denies, since whom it trusts has not been heard
 */
export function authorizeRequest(
  policies: readonly AccessPolicy[],
  flow: InboundFlow,
  rec: Recorder,
  asked = false,
): RequestAccessVerdict {
  if (policies.length === 0) {
    if (rec.enabled) rec.step('Waypoint', '', 'policies that apply', 'none, so every request passes');
    return NO_POLICY;
  }
  const dryRun: DryRunOf<AccessAction>[] = [];
  if (!asked) {
    const [unheard] = customPolicies(policies, flow, rec);
    if (unheard !== undefined) return refused(unheard, flow, rec);
  }
  const audit = audited(policies, flow, rec);
  const denied = evaluate('deny', policies, flow, dryRun, rec);
  if (denied !== undefined) {
    const rule = matchingRule(denied, flow);
    const clause = ruleHitText(denied.rules[rule]!, flow);
    return { allow: false, reason: 'denied', policy: denied.key, rule, clause, audit, dryRun };
  }
  const allowed = evaluate('allow', policies, flow, dryRun, rec);
  if (allowed !== undefined) {
    const rule = matchingRule(allowed, flow);
    return { allow: true, reason: 'allowed', policy: allowed.key, rule, clause: '', audit, dryRun };
  }
  const asks = policies.find(({ action, dryRun: dry }) => action === 'allow' && !dry);
  if (asks === undefined) {
    if (rec.enabled) rec.step('Waypoint', '', 'policies that apply', 'no DENY matches and no ALLOW exists: let in');
    return audit.length + dryRun.length === 0 ? NO_POLICY : { ...NO_POLICY, audit, dryRun };
  }
  if (rec.enabled) {
    const who = flow.identity === undefined ? `address ${flow.sourceIp.text}` : `principal ${flow.identity.principal}`;
    const what = flow.request === undefined ? '' : ` to ${flow.request.method} ${flow.request.path}`;
    rec.step(
      'Waypoint',
      '',
      'ALLOW policies',
      'there are some and none matches, so the request is denied',
      `a rule of ${describePolicy(asks.key)} allows ${who}${what}`,
    );
  }
  return { allow: false, reason: 'not-allowed', policy: asks.key, rule: -1, clause: '', audit, dryRun };
}

function refused(policy: AccessPolicy, flow: InboundFlow, rec: Recorder): RequestAccessVerdict {
  if (rec.enabled) {
    const object = describePolicy(policy.key);
    const rule = `rule ${matchingRule(policy, flow) + 1}`;
    rec.step(object, rule, `CUSTOM by ${policy.provider}`, 'nobody has been asked, so it denies');
  }
  return customRefusal(policy, flow);
}

/** What stands in the log when the authoriser of a CUSTOM policy that matches does not let a request in. */
export function customRefusal(policy: AccessPolicy, flow: InboundFlow): RequestAccessVerdict {
  const rule = matchingRule(policy, flow);
  const clause = ruleHitText(policy.rules[rule]!, flow);
  return { allow: false, reason: 'denied', policy: policy.key, rule, clause, audit: NO_AUDIT, dryRun: NO_DRY_RUN };
}

function audited(policies: readonly AccessPolicy[], flow: InboundFlow, rec: Recorder): readonly string[] {
  let out: string[] | undefined;
  for (const policy of policies) {
    if (policy.action !== 'audit' || policy.dryRun) continue;
    const rule = matchingRule(policy, flow);
    if (rec.enabled) provePolicy(policy, rule, flow, rec);
    if (rule < 0) continue;
    out ??= [];
    out.push(policy.key);
  }
  return out ?? NO_AUDIT;
}
