// SPDX-License-Identifier: Apache-2.0
//
// The match algebra of policies, without a verdict in it. One function a kind of attribute, each a loop over a
// short list: this runs for every inbound connection and again for every live one when a policy changes.
//
//   policy = OR of rules        no rules: matches nothing
//   rule   = AND of clauses     no clauses: matches everything
//   clause = OR of matches      no matches: matches everything
//   match  = AND over kinds     no field at all: matches nothing
//   kind   = (nothing wanted or one wanted hits) and (no excluded hits)

import type { Cidr } from './cidr.ts';
import type { Condition } from './condition.ts';
import type { InboundFlow } from './flow.ts';
import { httpHolds } from './http/http-match.ts';
import type { Identity } from './identity.ts';
import type { Ip } from './ip.ts';
import {
  type Clause,
  isEmptyMatch,
  type Match,
  type Policy,
  type Rule,
  type ServiceAccountMatch,
  type StringMatch,
} from './policy.ts';

/** Index of the first rule that matches, −1 when none does. */
export function matchingRule(policy: Pick<Policy, 'rules'>, flow: InboundFlow): number {
  const { rules } = policy;
  for (let i = 0; i < rules.length; i++) if (ruleMatches(rules[i]!, flow)) return i;
  return -1;
}

export function ruleMatches(rule: Rule, flow: InboundFlow): boolean {
  for (const clause of rule.clauses) if (!clauseMatches(clause, flow)) return false;
  return true;
}

export function clauseMatches(clause: Clause, flow: InboundFlow): boolean {
  return clause.matches.length === 0 || hitOf(clause, flow) >= 0;
}

/** Index of the first match of the clause that hits, −1 when none does. */
export function hitOf(clause: Clause, flow: InboundFlow): number {
  const { matches } = clause;
  for (let i = 0; i < matches.length; i++) if (matchHits(matches[i]!, flow)) return i;
  return -1;
}

export function matchHits(match: Match, flow: InboundFlow): boolean {
  const { identity } = flow;
  return (
    !isEmptyMatch(match) &&
    namespaceHolds(match.namespaces, identity) &&
    principalHolds(match.principals, identity) &&
    serviceAccountHolds(match.serviceAccounts, identity) &&
    ipHolds(match.sourceIps, flow.sourceIp) &&
    ipHolds(match.destinationIps, flow.destinationIp) &&
    portHolds(match.destinationPorts, flow.destinationPort) &&
    (match.http === undefined || (flow.request !== undefined && httpHolds(match.http, flow.request)))
  );
}

/** A plaintext peer has the empty namespace. */
export function namespaceHolds(condition: Condition<StringMatch>, identity: Identity | undefined): boolean {
  const namespace = identity === undefined ? '' : identity.namespace;
  return (
    (condition.any.length === 0 || anyString(condition.any, namespace)) &&
    (condition.none.length === 0 || !anyString(condition.none, namespace))
  );
}

/** A plaintext peer has no principal, which no entry matches, presence included. */
export function principalHolds(condition: Condition<StringMatch>, identity: Identity | undefined): boolean {
  if (identity === undefined) return condition.any.length === 0;
  const { principal } = identity;
  return (
    (condition.any.length === 0 || anyString(condition.any, principal)) &&
    (condition.none.length === 0 || !anyString(condition.none, principal))
  );
}

/** Trust domains are not compared. */
export function serviceAccountHolds(
  condition: Condition<ServiceAccountMatch>,
  identity: Identity | undefined,
): boolean {
  if (identity === undefined) return condition.any.length === 0;
  return (
    (condition.any.length === 0 || anyAccount(condition.any, identity)) &&
    (condition.none.length === 0 || !anyAccount(condition.none, identity))
  );
}

export function ipHolds(condition: Condition<Cidr>, ip: Ip): boolean {
  return (
    (condition.any.length === 0 || anyRange(condition.any, ip)) &&
    (condition.none.length === 0 || !anyRange(condition.none, ip))
  );
}

export function portHolds(condition: Condition<number>, port: number): boolean {
  return (
    (condition.any.length === 0 || condition.any.includes(port)) &&
    (condition.none.length === 0 || !condition.none.includes(port))
  );
}

function anyString(list: readonly StringMatch[], value: string): boolean {
  for (const entry of list) if (stringMatches(entry, value)) return true;
  return false;
}

function anyAccount(list: readonly ServiceAccountMatch[], identity: Identity): boolean {
  for (const entry of list) {
    if (entry.namespace === identity.namespace && entry.serviceAccount === identity.serviceAccount) return true;
  }
  return false;
}

function anyRange(list: readonly Cidr[], ip: Ip): boolean {
  for (const range of list) if (range.contains(ip)) return true;
  return false;
}

/** Case-sensitive. */
export function stringMatches(match: StringMatch, value: string): boolean {
  switch (match.kind) {
    case 'exact':
      return value === match.value;
    case 'prefix':
      return value.startsWith(match.value);
    case 'suffix':
      return value.endsWith(match.value);
    case 'presence':
      return value !== '';
  }
}
