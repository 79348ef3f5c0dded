// SPDX-License-Identifier: Apache-2.0
//
// The match algebra in words, for proofs, deny logs and tests: what a match asks for, which of its conditions a
// connection failed, and what the connection had instead. The predicates are those of match.ts, so the words cannot
// disagree with the verdict.

import type { Condition } from './condition.ts';
import type { InboundFlow } from './flow.ts';
import { httpReadings, type Reading } from './http/http-match-text.ts';
import {
  hitOf,
  ipHolds,
  matchHits,
  namespaceHolds,
  portHolds,
  principalHolds,
  ruleMatches,
  serviceAccountHolds,
} from './match.ts';
import {
  type Clause,
  isEmptyMatch,
  type Match,
  type Rule,
  type ServiceAccountMatch,
  type StringMatch,
} from './policy.ts';

/** Stands for presence: whatever value there is. */
const ANY = '*';
const PLAINTEXT = 'the peer has no identity (plaintext)';

function readings(match: Match, flow: InboundFlow): Reading[] {
  const { identity } = flow;
  const all: (Reading | undefined)[] = [
    reading('source namespace', match.namespaces, stringText, () => ({
      holds: namespaceHolds(match.namespaces, identity),
      has: identity === undefined ? PLAINTEXT : `the peer is in namespace ${identity.namespace}`,
    })),
    reading('source principal', match.principals, stringText, () => ({
      holds: principalHolds(match.principals, identity),
      has: identity === undefined ? PLAINTEXT : `the peer is ${identity.principal}`,
    })),
    reading('source service account', match.serviceAccounts, accountText, () => ({
      holds: serviceAccountHolds(match.serviceAccounts, identity),
      has: identity === undefined ? PLAINTEXT : `the peer is ${identity.namespace}/${identity.serviceAccount}`,
    })),
    reading('source address', match.sourceIps, String, () => ({
      holds: ipHolds(match.sourceIps, flow.sourceIp),
      has: `the peer's address is ${flow.sourceIp.text}`,
    })),
    reading('destination address', match.destinationIps, String, () => ({
      holds: ipHolds(match.destinationIps, flow.destinationIp),
      has: `the destination is ${flow.destinationIp.text}`,
    })),
    reading('destination port', match.destinationPorts, String, () => ({
      holds: portHolds(match.destinationPorts, flow.destinationPort),
      has: `the port is ${flow.destinationPort}`,
    })),
  ];
  const l4 = all.filter((one) => one !== undefined);
  return match.http === undefined ? l4 : [...l4, ...httpReadings(match.http, flow.request)];
}

function reading<T>(
  label: string,
  condition: Condition<T>,
  text: (value: T) => string,
  judge: () => { holds: boolean; has: string },
): Reading | undefined {
  const parts: string[] = [];
  const wanted = condition.any.map(text);
  const excluded = condition.none.map(text);
  if (wanted.includes(ANY)) parts.push(`any ${label}`);
  else if (wanted.length > 0) parts.push(`${label} ${wanted.join(' or ')}`);
  if (excluded.includes(ANY)) parts.push(`no ${label}`);
  else if (excluded.length > 0) parts.push(`${label} other than ${excluded.join(' and ')}`);
  return parts.length === 0 ? undefined : { wants: parts.join(' and '), ...judge() };
}

function stringText(match: StringMatch): string {
  switch (match.kind) {
    case 'exact':
      return match.value === '' ? '""' : match.value;
    case 'prefix':
      return `${match.value}*`;
    case 'suffix':
      return `*${match.value}`;
    case 'presence':
      return ANY;
  }
}

function accountText({ namespace, serviceAccount }: ServiceAccountMatch): string {
  return `${namespace}/${serviceAccount}`;
}

/** What a match asks for: `source principal td/ns/a/sa/b, destination port 80`. */
export function matchText(match: Match, flow: InboundFlow): string {
  return isEmptyMatch(match)
    ? 'an empty condition, which never holds'
    : readings(match, flow)
        .map((one) => one.wants)
        .join(', ');
}

/** The conditions by which a rule matched the connection, in words. */
export function ruleHitText(rule: Rule, flow: InboundFlow): string {
  const parts: string[] = [];
  for (const clause of rule.clauses) {
    const hit = hitOf(clause, flow);
    if (hit >= 0) parts.push(matchText(clause.matches[hit]!, flow));
  }
  return parts.length === 0 ? 'every connection' : parts.join('; ');
}

/** Why a rule did not match: the first clause that failed, and the nearest of its matches. */
export function ruleMissText(rule: Rule, flow: InboundFlow): { wants: string; has: string } {
  if (ruleMatches(rule, flow)) return { wants: ruleHitText(rule, flow), has: '' };
  const clause = rule.clauses.find((one) => hitOf(one, flow) < 0 && one.matches.length > 0);
  if (clause === undefined) return { wants: '', has: '' };
  return clauseMissText(clause, flow);
}

function clauseMissText(clause: Clause, flow: InboundFlow): { wants: string; has: string } {
  const failing = clause.matches.filter((match) => !matchHits(match, flow));
  const alternatives = failing.map((match) => matchText(match, flow));
  const shown = alternatives.slice(0, 4).join(' | ');
  const wants = alternatives.length > 4 ? `${shown} | … ${alternatives.length - 4} more` : shown;
  const has = new Set<string>();
  for (const match of failing) {
    for (const one of readings(match, flow)) if (!one.holds) has.add(one.has);
  }
  return { wants, has: [...has].join(', ') };
}
