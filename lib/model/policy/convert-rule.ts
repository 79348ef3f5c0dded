// SPDX-License-Identifier: Apache-2.0
//
// One rule of an AuthorizationPolicy as a rule of the data plane. Clauses in order: operations, sources, then one for
// each `when`. Rules keep their place, so that "rule 2" of a proof is spec.rules[1]: a rule that only layer 7 could
// allow becomes one that never matches, and a denial that asks for more than layer 4 can see denies without it.

import { type Clause, EMPTY_MATCH, type Rule } from '#lib/mesh/policy.ts';
import {
  type AuthorizationRule,
  L4_WHEN_KEYS,
  type L4WhenKey,
  L7_OPERATION_FIELDS,
  L7_SOURCE_FIELDS,
  type Operation,
  type Source,
  type When,
} from './authorization-spec.ts';
import { MatchBuilder, type MatchOrAlways } from './match-builder.ts';

const NEVER: Rule = { clauses: [{ matches: [EMPTY_MATCH] }] };

export interface ConvertedRule {
  readonly rule: Rule;
  /** Names of fields that only layer 7 can judge. */
  readonly layer7: readonly string[];
}

export function convertRule(
  rule: AuthorizationRule | null,
  action: 'allow' | 'deny',
  namespace: string,
): ConvertedRule {
  const layer7 = new Set<string>();
  const clauses: Clause[] = [];
  const add = (matches: readonly MatchOrAlways[]): void => {
    // One match that always holds makes the clause hold, and a clause that always holds says nothing.
    if (matches.length > 0 && !matches.includes('always')) {
      clauses.push({ matches: matches.filter((match) => match !== 'always') });
    }
  };
  add((rule?.to ?? []).map(({ operation }) => convertOperation(operation ?? {}, action, namespace, layer7)));
  add((rule?.from ?? []).map(({ source }) => convertSource(source ?? {}, action, namespace, layer7)));
  for (const when of rule?.when ?? []) add([convertWhen(when, action, namespace, layer7)]);
  const never = action === 'allow' && (layer7.size > 0 || rule === null);
  return { rule: never ? NEVER : { clauses }, layer7: [...layer7] };
}

function used<T extends object>(of: T, fields: readonly (keyof T & string)[], layer7: Set<string>): boolean {
  let any = false;
  for (const field of fields) {
    const value = of[field];
    if (Array.isArray(value) && value.length > 0) {
      layer7.add(field);
      any = true;
    }
  }
  return any;
}

function convertOperation(
  operation: Operation,
  action: 'allow' | 'deny',
  namespace: string,
  layer7: Set<string>,
): MatchOrAlways {
  const partly = used(operation, L7_OPERATION_FIELDS, layer7);
  return new MatchBuilder(action, namespace).destinationPorts(operation.ports, operation.notPorts).build(partly);
}

function convertSource(
  source: Source,
  action: 'allow' | 'deny',
  namespace: string,
  layer7: Set<string>,
): MatchOrAlways {
  const partly = used(source, L7_SOURCE_FIELDS, layer7);
  return new MatchBuilder(action, namespace)
    .sourceIps(source.ipBlocks, source.notIpBlocks)
    .namespaces(source.namespaces, source.notNamespaces)
    .serviceAccounts(source.serviceAccounts, source.notServiceAccounts)
    .principals(source.principals, source.notPrincipals)
    .trustDomains(source.trustDomains, source.notTrustDomains)
    .build(partly);
}

function isL4Key(key: string): key is L4WhenKey {
  return (L4_WHEN_KEYS as readonly string[]).includes(key);
}

function convertWhen(when: When, action: 'allow' | 'deny', namespace: string, layer7: Set<string>): MatchOrAlways {
  const { values, notValues } = when;
  const key: string = when.key ?? '';
  const builder = new MatchBuilder(action, namespace);
  if (!isL4Key(key)) {
    layer7.add(key);
    return builder.build(true);
  }
  switch (key) {
    case 'source.ip':
      return builder.sourceIps(values, notValues).build(false);
    case 'source.namespace':
      return builder.namespaces(values, notValues).build(false);
    case 'source.principal':
      return builder.principals(values, notValues).build(false);
    case 'source.serviceAccount':
      return builder.serviceAccounts(values, notValues).build(false);
    case 'source.trustDomain':
      return builder.trustDomains(values, notValues).build(false);
    case 'destination.ip':
      return builder.destinationIps(values, notValues).build(false);
    case 'destination.port':
      return builder.destinationPorts(values, notValues).build(false);
  }
}
