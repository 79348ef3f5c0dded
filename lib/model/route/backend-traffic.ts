// SPDX-License-Identifier: Apache-2.0
//
// An XBackendTrafficPolicy (gateway.networking.x-k8s.io/v1alpha1) as the retry budget of its targets, and what its author is told.
// Sessions belong to routes: a policy that asks for them is not accepted, and its budget not obeyed.

import type { RetryBudget } from '#lib/mesh/http/traffic-policy.ts';
import { type KubeObject, keyOf, namespaceOf } from '../object/object.ts';
import { type BackendTlsTarget, type PolicyTargetRef, type TargetContext, targetOf } from './backend-tls.ts';
import type { ConditionValue } from './context.ts';
import { gatewayDuration } from './duration.ts';

export interface BackendTrafficPolicy extends KubeObject {
  readonly spec?: {
    readonly targetRefs?: readonly PolicyTargetRef[];
    readonly retryConstraint?: {
      readonly budget?: { readonly percent?: number; readonly interval?: string };
      readonly minRetryRate?: { readonly count?: number; readonly interval?: string };
    };
    readonly sessionPersistence?: object;
  };
}

export interface ConvertedBackendTraffic {
  readonly key: string;
  readonly namespace: string;
  readonly created: string;
  readonly targets: readonly BackendTlsTarget[];
  /** undefined: none is asked for, or the policy is not accepted. */
  readonly budget: RetryBudget | undefined;
  readonly conditions: readonly ConditionValue[];
}

/** Defaults of the API. */
const PERCENT = 20;
const BUDGET_INTERVAL = '10s';
const RATE_COUNT = 10;
const RATE_INTERVAL = '1s';

export function convertBackendTraffic(policy: BackendTrafficPolicy, context: TargetContext): ConvertedBackendTraffic {
  const { retryConstraint, sessionPersistence, targetRefs = [] } = policy.spec ?? {};
  const budget = retryConstraint === undefined ? undefined : budgetOf(retryConstraint);
  let refused = '';
  if (sessionPersistence !== undefined) refused = 'sessionPersistence is not supported here; a route may have it';
  else if (budget === 'unreadable') refused = 'an interval of retryConstraint is no duration such as 10s';
  const accepted: ConditionValue =
    refused === ''
      ? { type: 'Accepted', status: true, reason: 'Accepted', message: 'retries to the targets are bounded' }
      : { type: 'Accepted', status: false, reason: 'Invalid', message: refused };
  return {
    key: keyOf(policy),
    namespace: namespaceOf(policy),
    created: policy.metadata.creationTimestamp ?? '',
    targets: targetRefs.map((ref) => targetOf(ref, namespaceOf(policy), context)),
    budget: refused === '' && budget !== 'unreadable' ? budget : undefined,
    conditions: [accepted],
  };
}

type Constraint = NonNullable<NonNullable<BackendTrafficPolicy['spec']>['retryConstraint']>;

/** The least rate is told as how many there may be within the budget's interval. */
function budgetOf({ budget = {}, minRetryRate = {} }: Constraint): RetryBudget | 'unreadable' {
  const intervalMs = gatewayDuration(budget.interval ?? BUDGET_INTERVAL);
  const rateMs = gatewayDuration(minRetryRate.interval ?? RATE_INTERVAL);
  if (intervalMs === undefined || rateMs === undefined || intervalMs === 0 || rateMs === 0) return 'unreadable';
  const least = ((minRetryRate.count ?? RATE_COUNT) * intervalMs) / rateMs;
  return { percent: budget.percent ?? PERCENT, minConcurrency: Math.max(1, Math.round(least)), intervalMs };
}
