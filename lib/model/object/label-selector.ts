// SPDX-License-Identifier: Apache-2.0
//
// Label selectors with expressions (meta/v1 LabelSelector), as settings and Gateways have them. One that cannot be
// understood selects nothing: what it guards must not open by a slip.

import { fail, ok, type Result } from '#lib/kit/result.ts';
import { own } from '#lib/kit/table.ts';
import { expressionHolds } from './label-expression.ts';
import type { Labels } from './selector.ts';

interface Expression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** All pairs and all expressions must hold. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly Expression[];
}

const OPERATORS: ReadonlySet<string> = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist']);

/** Takes a selector out of foreign YAML. @param field where it stands, for the problem */
export function parseLabelSelector(value: unknown, field: string): Result<LabelSelector> {
  const bad = (message: string): Result<LabelSelector> =>
    fail({ field, message, fix: 'write {matchLabels: {name: value}} or matchExpressions' });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('is no selector');
  const { matchExpressions = [], matchLabels = {}, ...others } = value as Record<string, unknown>;
  const unknown = Object.keys(others);
  if (unknown.length > 0) return bad(`${unknown.join(', ')} of a selector is not understood`);
  if (typeof matchLabels !== 'object' || matchLabels === null) return bad('matchLabels is no map');
  if (Object.values(matchLabels).some((wanted) => typeof wanted !== 'string')) return bad('a label’s value is no text');
  if (!Array.isArray(matchExpressions)) return bad('matchExpressions is no list');
  const expressions: Expression[] = [];
  for (const one of matchExpressions as readonly unknown[]) {
    const { key, operator, values = [] } = (one ?? {}) as Record<string, unknown>;
    if (typeof key !== 'string' || key === '') return bad('an expression has no key');
    if (typeof operator !== 'string' || !OPERATORS.has(operator)) {
      return bad(`operator ${JSON.stringify(operator)} is none of ${[...OPERATORS].join(', ')}`);
    }
    if (!Array.isArray(values) || values.some((text) => typeof text !== 'string')) return bad('values is no list');
    const listed = operator === 'In' || operator === 'NotIn';
    if (listed !== values.length > 0) return bad(`${operator} ${listed ? 'needs' : 'takes no'} values`);
    expressions.push({ key, operator: operator as Expression['operator'], values: values as string[] });
  }
  return ok({ matchLabels: matchLabels as Labels, matchExpressions: expressions });
}

/** Whether it selects an object with these labels. An empty selector selects everything. */
export function selectorMatches(selector: LabelSelector, labels: Labels): boolean {
  for (const [key, wanted] of Object.entries(selector.matchLabels)) if (own(labels, key) !== wanted) return false;
  return selector.matchExpressions.every((expression) => expressionHolds(expression, own(labels, expression.key)));
}
