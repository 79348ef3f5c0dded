// SPDX-License-Identifier: Apache-2.0
//
// What an analyzer is, and what it reads of objects.

import type { KubeObject } from '../object/object.ts';
import type { ParsedObject } from '../validate/documents.ts';
import { describeObject } from '../validate/problem.ts';
import type { Finding } from './finding.ts';

export type Analyzer = (objects: readonly ParsedObject[]) => Finding[];

export interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

/** An object whose spec nobody has typed. */
export interface Anything extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
  };
}

/** @param field where in the object, for the line it stands in */
export function finding(one: ParsedObject, field: string, rest: Omit<Finding, 'object' | 'reference'>): Finding {
  const { file, line } = one.placeOf(field);
  return { object: describeObject(one.object), reference: file === '' ? '' : `${file}:${line}`, ...rest };
}

/** The items of a list that may be none. */
export function list<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The objects of a kind, whatever its group. */
export function ofKind(
  objects: readonly ParsedObject[],
  kind: string,
): { readonly one: ParsedObject; readonly object: Anything }[] {
  return objects.filter(({ object }) => object.kind === kind).map((one) => ({ one, object: one.object as Anything }));
}
