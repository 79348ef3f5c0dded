// SPDX-License-Identifier: Apache-2.0
//
// An authorisation policy, ready to be matched. A policy is an OR of rules, a rule an AND of clauses, a clause an
// OR of matches, a match an AND over its attribute kinds. Emptiness has a meaning on every level (see authorize.ts).

import type { Cidr } from './cidr.ts';
import type { Condition } from './condition.ts';
import type { HttpConditions } from './http/conditions.ts';

export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'suffix'; readonly value: string }
  | { readonly kind: 'presence'; readonly value: '' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface Match {
  readonly namespaces: Condition<StringMatch>;
  readonly principals: Condition<StringMatch>;
  readonly serviceAccounts: Condition<ServiceAccountMatch>;
  readonly sourceIps: Condition<Cidr>;
  readonly destinationIps: Condition<Cidr>;
  readonly destinationPorts: Condition<number>;
  /** Of layer 7; never set at a node proxy. */
  readonly http?: HttpConditions;
}

export interface Clause {
  readonly matches: readonly Match[];
}

export interface Rule {
  readonly clauses: readonly Clause[];
}

export interface Policy {
  /** `<namespace>/<name>`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** `global`: every workload. `namespace`: those of its namespace. `selector`: those that list it. */
  readonly scope: 'global' | 'namespace' | 'selector';
  readonly action: 'allow' | 'deny';
  /** Judged and counted, without effect. */
  readonly dryRun: boolean;
  readonly rules: readonly Rule[];
}

const NOTHING = { any: [], none: [] } as const;

/** A match that restricts nothing yet; on its own it matches no connection. */
export const EMPTY_MATCH: Match = {
  namespaces: NOTHING,
  principals: NOTHING,
  serviceAccounts: NOTHING,
  sourceIps: NOTHING,
  destinationIps: NOTHING,
  destinationPorts: NOTHING,
};

export function isEmptyMatch(match: Match): boolean {
  return (
    blank(match.namespaces) &&
    blank(match.principals) &&
    blank(match.serviceAccounts) &&
    blank(match.sourceIps) &&
    blank(match.destinationIps) &&
    blank(match.destinationPorts) &&
    match.http === undefined
  );
}

function blank(condition: Condition<unknown>): boolean {
  return condition.any.length === 0 && condition.none.length === 0;
}
