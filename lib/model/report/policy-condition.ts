// SPDX-License-Identifier: Apache-2.0
//
// Conditions of AuthorizationPolicies: what becomes of one at the node proxies, or at the waypoints it names.

import type { ConvertedPolicy } from '../policy/authorization-policy.ts';
import type { ObjectProblem } from '../validate/problem.ts';
import { problemsText, type ReportedCondition, WAYPOINT_POLICY_MANAGER, ZTUNNEL_POLICY_MANAGER } from './report.ts';

/** How one target reference of a policy stands. */
export interface TargetStanding {
  /** `Kind.group:namespace/name`. */
  readonly text: string;
  readonly standing: 'bound' | 'unbound' | 'missing' | 'invalid';
  readonly message: string;
}

export interface Targets {
  readonly standings: readonly TargetStanding[];
  readonly problems: readonly ObjectProblem[];
}

export function policyCondition(
  converted: ConvertedPolicy | undefined,
  problems: readonly ObjectProblem[],
): ReportedCondition[] {
  if (converted === undefined) return [];
  const accepted = { type: 'ZtunnelAccepted', manager: ZTUNNEL_POLICY_MANAGER };
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (errors.length > 0) {
    const meanwhile =
      converted.policy?.action === 'deny'
        ? 'Until then what it cannot read restricts nothing, so it denies more'
        : 'Until then what it cannot read allows nothing';
    return [{ ...accepted, status: 'False', reason: 'Invalid', message: `${problemsText(errors)}. ${meanwhile}` }];
  }
  if (converted.unsupported !== undefined) {
    const told = problemsText(problems.filter((problem) => problem.code === 'UnsupportedValue'));
    const message = `${converted.unsupported} is not enforced by node proxies, so the policy is not sent to them`;
    return [{ ...accepted, status: 'False', reason: 'UnsupportedValue', message: told === '' ? message : told }];
  }
  if (converted.layer7.length > 0) {
    const message = problemsText(problems.filter(({ code }) => code === 'NeedsWaypoint' || code === 'WiderThanMeant'));
    return [{ ...accepted, status: 'True', reason: 'UnsupportedValue', message }];
  }
  return [{ ...accepted, status: 'True', reason: 'Accepted', message: 'attached to ztunnel' }];
}

/** One condition for all target references: True if any is bound. */
export function targetCondition({ standings }: Targets, manager = WAYPOINT_POLICY_MANAGER): ReportedCondition[] {
  const accepted = { type: 'WaypointAccepted', manager };
  const failed = standings.filter((one) => one.standing !== 'bound');
  if (failed.length === 0) {
    const message = `bound to ${standings.map((one) => one.text).join(', ')}`;
    return [{ ...accepted, status: 'True', reason: 'Accepted', message }];
  }
  const message = failed.map((one) => `${one.text}: ${one.message}`).join('; ');
  if (failed.length < standings.length) {
    return [{ ...accepted, status: 'True', reason: 'PartiallyInvalid', message }];
  }
  const [first] = failed;
  const reason =
    first?.standing === 'missing' ? 'TargetNotFound' : first?.standing === 'unbound' ? 'AncestorNotBound' : 'Invalid';
  return [{ ...accepted, status: 'False', reason, message }];
}
