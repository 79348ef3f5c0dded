// SPDX-License-Identifier: Apache-2.0
// CEL rules of custom resources (x-kubernetes-validations): each is evaluated where it stands in the schema, with
// `self` and, on updates, `oldSelf`. A rule this evaluator cannot read is not enforced; `unreadableRules` names it.
// Source: apiextensions.k8s.io/v1 ValidationRule.
import { type CelInput, type CelResult, celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import type { Problem } from '#lib/kit/result.ts';
import { isObject, type Json, textAt } from '../json.ts';
import type { Schema, ValidationRule } from './schema.ts';

type Program = (bindings: { self: CelInput; oldSelf: CelInput }) => CelResult;

const env = celEnv({ funcs: [...strings] });
const programs = new Map<string, Program | undefined>();
const carriers = new WeakMap<Schema, boolean>();
const TRANSITION = /\boldSelf\b/;

/** Names of the functions an expression calls, operators included. */
function callsOf(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const { case: kind, value } = node as { case?: unknown; value?: { function?: unknown } };
  const own = kind === 'callExpr' && typeof value?.function === 'string' ? [value.function] : [];
  return [...own, ...Object.values(node).flatMap(callsOf)];
}

/** Operators and comprehension helpers are the evaluator's own. */
const known = (name: string): boolean =>
  !/^\w+$/.test(name) || name.startsWith('@') || env.funcs.find(name) !== undefined;

/** A compiled rule; undefined when it cannot be read. */
function programOf(text: string): Program | undefined {
  if (programs.has(text)) return programs.get(text);
  let program: Program | undefined;
  try {
    const expression = parse(text);
    if (callsOf(expression.expr).every(known)) program = plan(env, expression) as Program;
  } catch {
    program = undefined;
  }
  programs.set(text, program);
  return program;
}

const inside = (schema: Schema): Schema[] => [
  ...Object.values(schema.properties ?? {}),
  ...(schema.items ? [schema.items] : []),
  ...(typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : []),
];

/** Whether a rule lies at or below `schema`; most branches have none. */
function hasRules(schema: Schema): boolean {
  const known = carriers.get(schema);
  if (known !== undefined) return known;
  const found = (schema['x-kubernetes-validations']?.length ?? 0) > 0 || inside(schema).some(hasRules);
  carriers.set(schema, found);
  return found;
}

/** Rules that will not be enforced, by path. */
export function unreadableRules(schema: Schema, path = ''): string[] {
  if (!hasRules(schema)) return [];
  const own = (schema['x-kubernetes-validations'] ?? []).filter((rule) => !programOf(rule.rule));
  const below = [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, part]) => unreadableRules(part, `${path}.${name}`)),
    ...(schema.items ? unreadableRules(schema.items, `${path}[]`) : []),
    ...(typeof schema.additionalProperties === 'object'
      ? unreadableRules(schema.additionalProperties, `${path}.*`)
      : []),
  ];
  return [...own.map((rule) => `${path || '.'}: ${rule.rule}`), ...below];
}

/** Checks every rule that applies to `value`; `old` is the value it replaces. */
export function checkRules(schema: Schema, value: Json, old: Json | undefined, path = ''): Problem[] {
  if (!hasRules(schema) || value === null) return [];
  const problems = (schema['x-kubernetes-validations'] ?? []).flatMap((rule) =>
    checkRule(rule, schema, value, old, path),
  );
  if (Array.isArray(value) && schema.items) {
    const items = schema.items;
    value.forEach((item, index) => {
      problems.push(...checkRules(items, item, counterpart(schema, item, old), `${path}[${index}]`));
    });
  } else if (isObject(value))
    for (const [name, member] of Object.entries(value)) {
      const part = memberOf(schema, name);
      if (part && member !== undefined)
        problems.push(
          ...checkRules(part, member, isObject(old) ? old[name] : undefined, path ? `${path}.${name}` : name),
        );
    }
  return problems;
}

function memberOf(schema: Schema, name: string): Schema | undefined {
  if (schema.properties && Object.hasOwn(schema.properties, name)) return schema.properties[name];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** The old item with the same keys; only keyed lists have one. */
function counterpart(schema: Schema, item: Json, old: Json | undefined): Json | undefined {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (!keys || !Array.isArray(old) || !isObject(item)) return undefined;
  return old.find((other) => isObject(other) && keys.every((key) => other[key] === item[key]));
}

function checkRule(rule: ValidationRule, schema: Schema, value: Json, old: Json | undefined, path: string): Problem[] {
  if (TRANSITION.test(rule.rule) && old === undefined) return [];
  const program = programOf(rule.rule);
  if (!program) return [];
  const bindings = { self: toCel(value, schema), oldSelf: old === undefined ? null : toCel(old, schema) };
  const verdict = evaluate(program, bindings);
  if (verdict === true) return [];
  const field = rule.fieldPath ? path + rule.fieldPath : path;
  const shown = typeof value === 'object' ? (Array.isArray(value) ? '"array"' : '"object"') : JSON.stringify(value);
  const why = typeof verdict === 'string' ? `rule ${rule.rule}: ${verdict}` : messageOf(rule, bindings);
  return [{ field: field.replace(/^\./, ''), message: `Invalid value: ${shown}: ${why}` }];
}

/** The verdict; text says why there is none. */
function evaluate(program: Program, bindings: { self: CelInput; oldSelf: CelInput }): boolean | string {
  const result = program(bindings);
  if (isCelError(result)) return result.message;
  return typeof result === 'boolean' ? result : 'it gives no boolean';
}

function messageOf(rule: ValidationRule, bindings: { self: CelInput; oldSelf: CelInput }): string {
  const made = rule.messageExpression ? programOf(rule.messageExpression)?.(bindings) : undefined;
  return typeof made === 'string' ? made : (rule.message ?? `failed rule: ${rule.rule}`);
}

/** JSON as CEL sees it: integers by the schema, objects as maps. */
function toCel(value: Json, schema: Schema | undefined): CelInput {
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (isObject(value)) {
    const map = new Map<string, CelInput>();
    for (const [name, member] of Object.entries(value))
      if (member !== undefined) map.set(escapeName(name), toCel(member, schema && memberOf(schema, name)));
    return map as CelInput;
  }
  const whole = schema?.type === 'integer' || schema?.['x-kubernetes-int-or-string'] === true;
  return typeof value === 'number' && Number.isInteger(value) && (whole || schema?.type === undefined)
    ? BigInt(value)
    : value;
}

const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);
/** Names CEL reserves are written `__name__` in rules. */
const escapeName = (name: string): string => (RESERVED.has(name) ? `__${name}__` : name);

/** The message for a CRD whose rules cannot all be read. */
export const unreadableWarning = (schema: Schema, version: Json): string[] =>
  unreadableRules(schema).map(
    (rule) => `version ${textAt(version, 'name')}: not enforced, this server cannot read the rule ${rule}`,
  );
