// SPDX-License-Identifier: Apache-2.0
//
// What the author of an object is told: conditions for kinds that have them, problems for everybody (Events where
// there is no condition, lines of `ambit validate`).

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { type KubeObject, namespaceOf } from '../object/object.ts';
import type { ObjectProblem } from '../validate/problem.ts';

/** The object a report is about, for `involvedObject` and status patches. */
export interface ReportedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
}

export interface ReportedCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  /** Field manager of the server-side apply that writes it. */
  readonly manager: string;
}

export interface ObjectReport {
  readonly object: ReportedObject;
  readonly problems: readonly ObjectProblem[];
  /** All conditions of ours that hold now; others of the same managers are to be removed. */
  readonly conditions: readonly ReportedCondition[];
}

export const SERVICE_MANAGER = 'istio-ambient-service';
export const ENTRY_MANAGER = 'istio-ambient-workloadentry';
export const ZTUNNEL_POLICY_MANAGER = 'istio-ambient-ztunnel-policy';
export const TELEMETRY_MANAGER = 'ambit-istiod-telemetry';
export const WAYPOINT_POLICY_MANAGER = 'istio-ambient-waypoint-policy';

function reportKey({ kind, namespace, name }: ReportedObject): string {
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** A report, or nothing when there is nothing to tell. */
export function reportOf(
  object: KubeObject,
  problems: readonly ObjectProblem[],
  conditions: readonly ReportedCondition[] = [],
): ObjectReport | undefined {
  if (problems.length === 0 && conditions.length === 0) return undefined;
  return {
    object: {
      apiVersion: object.apiVersion ?? '',
      kind: object.kind ?? '',
      namespace: namespaceOf(object),
      name: object.metadata.name,
      uid: object.metadata.uid ?? '',
      generation: object.metadata.generation ?? 0,
    },
    problems,
    conditions,
  };
}

/** Problems as the message of a condition: the object is known there. */
export function problemsText(problems: readonly ObjectProblem[]): string {
  return problems
    .map(({ field, fix, message }) => formatProblem({ field, message, ...(fix !== undefined && { fix }) }))
    .join('. ');
}

/** Reports under their own keys, which carry the kind. Objects of other clusters are for their own control plane to judge. */
export function keyed<T extends KubeObject>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  report: (object: T, key: string, fetch: Fetch) => ObjectReport | undefined,
): Collection<ObjectReport> {
  return graph.flatMap(name, objects, (object, key, fetch) => {
    const out = object.cluster === undefined ? report(object, key, fetch) : undefined;
    return out === undefined ? [] : [[reportKey(out.object), out] as const];
  });
}

/** Whether the object has the shape that everything but its schema believes in. */
export function readable(problems: readonly ObjectProblem[]): boolean {
  return !problems.some((problem) => problem.code === 'SchemaViolation');
}
