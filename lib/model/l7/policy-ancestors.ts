// SPDX-License-Identifier: Apache-2.0
//
// What is said of a policy that is attached to services: at each target, and at each waypoint that sends to it.

import type { Fetch } from '#lib/collections/collection.ts';
import type { PolicyTargetRef } from '../route/backend-tls.ts';
import type { ConditionValue } from '../route/context.ts';
import { GATEWAY_GROUP } from '../route/spec.ts';
import type { Senders } from './senders.ts';

/** What is said of a policy at one of its ancestors. */
export interface PolicyAncestor {
  readonly ref: PolicyTargetRef & { readonly namespace: string };
  /** The ancestor is a Gateway of ours, not the target itself. */
  readonly gateway: boolean;
  readonly conditions: readonly ConditionValue[];
}

export interface PolicyStatus {
  readonly key: string;
  readonly ancestors: readonly PolicyAncestor[];
}

/** One target, and what is said there. */
export interface JudgedTarget {
  readonly ref: PolicyTargetRef;
  /** The service's key; undefined when it is not there. */
  readonly service: string | undefined;
  readonly conditions: readonly ConditionValue[];
}

/** Status lists have room for this many. */
const MAX_ANCESTORS = 16;

export function policyStatus(
  { key, namespace }: { readonly key: string; readonly namespace: string },
  targets: readonly JudgedTarget[],
  senders: Senders,
  fetch: Fetch,
): PolicyStatus {
  const near = targets.map(
    ({ conditions, ref }): PolicyAncestor => ({ ref: { ...ref, namespace }, gateway: false, conditions }),
  );
  const gateways = new Map<string, readonly ConditionValue[]>();
  for (const { conditions, service } of targets) {
    for (const gateway of service === undefined ? [] : senders.to(service, fetch)) {
      if (!gateways.has(gateway)) gateways.set(gateway, conditions);
    }
  }
  const far = [...gateways].map(([gateway, conditions]): PolicyAncestor => {
    const slash = gateway.indexOf('/');
    const place = { namespace: gateway.slice(0, slash), name: gateway.slice(slash + 1) };
    return { ref: { group: GATEWAY_GROUP, kind: 'Gateway', ...place }, gateway: true, conditions };
  });
  return { key, ancestors: [...near, ...far].slice(0, MAX_ANCESTORS) };
}

/** The conditions of a target where the policy does not count. */
export function notAccepted(
  conditions: readonly ConditionValue[],
  reason: string,
  message: string,
): readonly ConditionValue[] {
  return conditions.map((one) =>
    one.type === 'Accepted' ? { type: 'Accepted', status: false, reason, message } : one,
  );
}
