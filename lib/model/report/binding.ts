// SPDX-License-Identifier: Apache-2.0
//
// What the author of an object is told about the waypoint that it asks for.

import { INGRESS_USE_WAYPOINT } from '../object/names.ts';
import { type KubeObject, namespaceOf } from '../object/object.ts';
import { type ObjectProblem, ProblemList } from '../validate/problem.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import type { ReportedCondition } from './report.ts';

export function bindingProblems(object: KubeObject, binding: WaypointBinding | undefined): ObjectProblem[] {
  if (binding?.failure === undefined) return [];
  const list = new ProblemList(object);
  const { field, message } = binding.failure;
  list.missing(
    'warning',
    'WaypointNotBound',
    field,
    `${message}; traffic goes without it`,
    'create or fix the waypoint',
    { kind: 'Gateway', namespace: namespaceOf(object) },
  );
  return list.problems;
}

/** @param ingress whether gateways pass the waypoint too; @param manager who writes the condition */
export function bindingConditions(
  binding: WaypointBinding | undefined,
  ingress: boolean,
  manager: string,
): ReportedCondition[] {
  if (binding === undefined) return [];
  const bound = { type: 'istio.io/WaypointBound', manager };
  if (binding.failure !== undefined) {
    const { message, reason } = binding.failure;
    return [{ ...bound, status: 'False', reason, message }];
  }
  if (binding.waypoint === undefined) return [];
  const notes = [
    ingress ? `gateways pass it too (${INGRESS_USE_WAYPOINT})` : '',
    binding.weighted.length > 0 ? 'a canary takes a share' : '',
  ].filter((note) => note !== '');
  const message = [`Successfully attached to waypoint ${binding.waypoint.key}`, ...notes].join('; ');
  return [{ ...bound, status: 'True', reason: 'WaypointAccepted', message }];
}
