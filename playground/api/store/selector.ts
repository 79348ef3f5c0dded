// SPDX-License-Identifier: Apache-2.0
// Label and field selectors: text or LabelSelector object → predicate. Source: meta/v1 ListOptions, LabelSelector.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { isObject, type Json, listAt } from '../json.ts';

export type Labels = Readonly<Record<string, string>>;
export type LabelMatch = (labels: Labels | undefined) => boolean;
/** Reads one selectable field of an object; undefined when the kind does not offer it. */
export type FieldReader = (path: string) => string | undefined;

const REQUIREMENT =
  /^\s*(?:(!)\s*)?([A-Za-z0-9][\w./-]*)\s*(?:(==|=|!=|>|<)\s*([^\s]*)|\s+(in|notin)\s*\(([^)]*)\))?\s*$/;

/** Parses `a=b,c!=d,e in (f,g),h,!i`. */
export function parseLabelSelector(text: string): Result<LabelMatch> {
  const tests: LabelMatch[] = [];
  for (const part of splitOutsideParentheses(text)) {
    if (part.trim() === '') continue;
    const match = REQUIREMENT.exec(part);
    if (!match)
      return fail({ field: 'labelSelector', message: `unable to parse requirement: ${JSON.stringify(part)}` });
    const [, negated, key, operator, value = '', setOperator, set = ''] = match;
    const values = set.split(',').map((item) => item.trim());
    if (negated) tests.push((labels) => labels?.[key!] === undefined);
    else if (setOperator === 'in') tests.push((labels) => has(values, labels?.[key!]));
    else if (setOperator === 'notin') tests.push((labels) => !has(values, labels?.[key!]));
    else if (operator === '!=') tests.push((labels) => labels?.[key!] !== value);
    else if (operator === '>') tests.push((labels) => Number(labels?.[key!]) > Number(value));
    else if (operator === '<') tests.push((labels) => Number(labels?.[key!]) < Number(value));
    else if (operator) tests.push((labels) => labels?.[key!] === value);
    else tests.push((labels) => labels?.[key!] !== undefined);
  }
  return ok((labels) => tests.every((test) => test(labels)));
}

const has = (values: readonly string[], value: string | undefined): boolean =>
  value !== undefined && values.includes(value);

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '(') depth++;
    else if (text[index] === ')') depth--;
    else if (text[index] === ',' && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, text.slice(start)];
}

/** Predicate of a LabelSelector object (matchLabels, matchExpressions); an empty one matches everything. */
export function matchLabelSelector(selector: Json | undefined): LabelMatch {
  if (!isObject(selector)) return () => false;
  const exact = isObject(selector['matchLabels']) ? Object.entries(selector['matchLabels']) : [];
  const expressions = listAt(selector, 'matchExpressions').filter(isObject);
  return (labels) =>
    exact.every(([key, value]) => labels?.[key] === value) &&
    expressions.every((expression) => {
      const value = labels?.[String(expression['key'])];
      const values = listAt(expression, 'values').map(String);
      switch (expression['operator']) {
        case 'In':
          return has(values, value);
        case 'NotIn':
          return !has(values, value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          return false;
      }
    });
}

/** One `path=value` or `path!=value` of a field selector. */
export interface FieldTerm {
  readonly path: string;
  readonly value: string;
  readonly negated: boolean;
}

export function parseFieldSelector(text: string): Result<FieldTerm[]> {
  const terms: FieldTerm[] = [];
  for (const part of text.split(/(?<!\\),/)) {
    if (part.trim() === '') continue;
    const match = /^\s*([^=!\s]+)\s*(==|=|!=)(.*)$/.exec(part);
    if (!match)
      return fail({ field: 'fieldSelector', message: `invalid selector: '${part}'; can't understand '${part}'` });
    terms.push({ path: match[1]!, value: match[3]!.replace(/\\([,=\\])/g, '$1'), negated: match[2] === '!=' });
  }
  return ok(terms);
}

export const matchFields = (terms: readonly FieldTerm[], read: FieldReader): boolean =>
  terms.every((term) => (read(term.path) === term.value) !== term.negated);
