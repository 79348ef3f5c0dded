// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with an object, as its author is told: in a condition, in an Event, by `ambit validate`.

import type { Problem } from '#lib/kit/result.ts';
import { textOf } from '#lib/kit/text-of.ts';
import type { KubeObject } from '../object/object.ts';

/** `error`: not done as written. `warning`: done, but hardly as meant. */
export type Severity = 'error' | 'warning';

/** Stable names of problems: the `reason` of an Event. */
export type ProblemCode =
  | 'SchemaViolation'
  | 'UnknownField'
  | 'UnknownValue'
  | 'InvalidValue'
  | 'MissingField'
  | 'ConflictingFields'
  | 'ReferenceNotFound'
  | 'NothingSelected'
  | 'NeedsWaypoint'
  | 'UnsupportedValue'
  | 'WiderThanMeant'
  | 'WaypointNotBound'
  | 'ProviderNotUsable'
  | 'SelectorShared'
  | 'ScopeShared';

export interface ObjectProblem extends Problem {
  readonly object: string;
  readonly severity: Severity;
  readonly code: ProblemCode;
  /** Kind and namespace of what was looked for in vain. Offline, where not all objects are at hand, it may exist. */
  readonly lookedFor?: { readonly kind: string; readonly namespace: string };
}

/** `AuthorizationPolicy shop/deny-cart`. */
export function describeObject(object: KubeObject): string {
  const { name, namespace } = object.metadata;
  const place = [namespace ?? '', name ?? '']
    .map(textOf)
    .filter((part) => part !== '')
    .join('/');
  return `${textOf(object.kind ?? 'object')} ${place}`;
}

/** Gathers the problems of one object. */
export class ProblemList {
  readonly problems: ObjectProblem[] = [];
  readonly #object: string;

  constructor(object: KubeObject) {
    this.#object = describeObject(object);
  }

  error(code: ProblemCode, field: string, message: string, fix?: string): void {
    this.#add('error', code, field, message, fix);
  }

  warning(code: ProblemCode, field: string, message: string, fix?: string): void {
    this.#add('warning', code, field, message, fix);
  }

  /** Something that other objects should have answered. */
  missing(
    severity: Severity,
    code: ProblemCode,
    field: string,
    message: string,
    fix: string,
    lookedFor: { readonly kind: string; readonly namespace: string },
  ): void {
    this.problems.push({ object: this.#object, severity, code, field, message, fix, lookedFor });
  }

  #add(severity: Severity, code: ProblemCode, field: string, message: string, fix: string | undefined): void {
    this.problems.push({ object: this.#object, severity, code, field, message, ...(fix !== undefined && { fix }) });
  }
}

/** Path of a label or annotation: names with slashes need brackets. */
export function labelField(name: string): string {
  return `metadata.labels[${name}]`;
}

export function annotationField(name: string): string {
  return `metadata.annotations[${name}]`;
}

/** The candidate closest to what was written, when it is close enough to be a slip. */
export function nearest(written: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(written.length / 2));
  for (const candidate of candidates) {
    const distance = editDistance(written.toLowerCase(), candidate.toLowerCase());
    if (distance <= bestDistance && (best === undefined || distance < bestDistance)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + same));
    }
    row = next;
  }
  return row[b.length]!;
}
