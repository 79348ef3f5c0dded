// SPDX-License-Identifier: Apache-2.0
//
// A layer-7 access policy as the proxy is told of it, and how an answer about a request reads.

import type { Rule } from '../policy.ts';
import type { DryRunOf } from '../verdict.ts';

export type AccessAction = 'allow' | 'deny' | 'audit' | 'custom';

export interface AccessPolicy {
  /** `<namespace>/<name>`. */
  readonly key: string;
  readonly action: AccessAction;
  /** Judged and counted, without effect. */
  readonly dryRun: boolean;
  /** Whom a `custom` policy asks; '' otherwise. */
  readonly provider: string;
  /** Keys of services; empty: all traffic of the proxy. */
  readonly services: readonly string[];
  readonly rules: readonly Rule[];
}

export interface RequestAccessVerdict {
  readonly allow: boolean;
  readonly reason: 'no-policy' | 'allowed' | 'denied' | 'not-allowed';
  /** The policy that decided; '' when none did. */
  readonly policy: string;
  readonly rule: number;
  /** Conditions by which the request was denied, in words; '' otherwise. */
  readonly clause: string;
  /** Keys of AUDIT policies that match. */
  readonly audit: readonly string[];
  readonly dryRun: readonly DryRunOf<AccessAction>[];
}

/**
 * What stands in for a policy that was sent and cannot be read: a denial of everything. It may be the one that denies,
 * and whom it is for is not known either.
 */
export function unreadablePolicy(key: string): AccessPolicy {
  return { key, action: 'deny', dryRun: false, provider: '', services: [], rules: [{ clauses: [] }] };
}

/** Envoy's name of a rule, for response code details and metadata: `ns[shop]-policy[x]-rule[0]`. */
export function ruleId(policy: string, rule: number): string {
  if (policy === '' || rule < 0) return 'none';
  const slash = policy.indexOf('/');
  return `ns[${policy.slice(0, slash)}]-policy[${policy.slice(slash + 1)}]-rule[${rule}]`;
}

/** Response code details of a denial. */
export function denialDetails({ policy, reason, rule }: RequestAccessVerdict): string {
  return `rbac_access_denied_matched_policy[${reason === 'denied' ? ruleId(policy, rule) : 'none'}]`;
}

export const DENIAL_STATUS = 403;
export const DENIAL_BODY = 'RBAC: access denied';
