// SPDX-License-Identifier: Apache-2.0
//
// An Authorization message as a domain value. An entry that cannot be read never makes a policy weaker: in an ALLOW
// policy the match that contains it never matches, in a DENY policy its list restricts nothing, so that more is
// denied. The problem is reported either way, and the policy applied.

import type { Problem, Result } from '#lib/kit/result.ts';
import type { Cidr } from '#lib/mesh/cidr.ts';
import type { Condition } from '#lib/mesh/condition.ts';
import {
  EMPTY_MATCH,
  isEmptyMatch,
  type Match,
  type Policy,
  type ServiceAccountMatch,
  type StringMatch,
} from '#lib/mesh/policy.ts';
import type {
  Address as AddressMessage,
  Authorization,
  Match as MatchMessage,
  StringMatch as StringMessage,
} from '#lib/proto/gen/authorization_pb.ts';
import { POLICY_ACTIONS, POLICY_SCOPES } from './enums.ts';
import { readEnum, readRange } from './read.ts';

/** A policy that can be applied, with what could not be read of it. */
export interface DecodedPolicy {
  readonly policy: Policy;
  readonly problems: readonly Problem[];
}

/** @returns problems alone when scope, action or name cannot be read, since then nothing safe can be applied */
export function decodePolicy(message: Authorization): Result<DecodedPolicy> {
  const fatal: Problem[] = [];
  const problems: Problem[] = [];
  const scope = readEnum(POLICY_SCOPES, message.scope, 'scope', fatal);
  const action = readEnum(POLICY_ACTIONS, message.action, 'action', fatal);
  if (message.name === '') fatal.push({ field: 'name', message: 'is empty', fix: 'send the policy name' });
  if (fatal.length > 0) return { ok: false, problems: fatal };
  const policy: Policy = {
    key: `${message.namespace}/${message.name}`,
    namespace: message.namespace,
    name: message.name,
    scope,
    action,
    dryRun: message.dryRun,
    rules: message.groups.map((group, g) => ({
      clauses: group.rules.map((rules, r) => ({
        matches: rules.matches.map((match, m) =>
          readMatch(match, `groups[${g}].rules[${r}].matches[${m}]`, action, problems),
        ),
      })),
    })),
  };
  return { ok: true, value: { policy, problems } };
}

/** A match of layer 4; see above for what becomes of entries that cannot be read. */
export function readMatch(message: MatchMessage, field: string, action: Policy['action'], problems: Problem[]): Match {
  const before = problems.length;
  // What a lost entry would have added cannot be known, so a denial is not narrowed by the rest of its list.
  const all = <T>(read: T[], wanted: number): T[] => (read.length < wanted && action === 'deny' ? [] : read);
  const strings = (list: readonly StringMessage[], name: string): StringMatch[] =>
    all(
      list.flatMap((one, i) => readString(one, `${field}.${name}[${i}]`, problems)),
      name.startsWith('not_') ? 0 : list.length,
    );
  const ranges = (list: readonly AddressMessage[], name: string): Cidr[] =>
    all(
      list.flatMap((one, i) => readCidr(one, `${field}.${name}[${i}]`, problems)),
      name.startsWith('not_') ? 0 : list.length,
    );
  const match: Match = {
    namespaces: both(strings(message.namespaces, 'namespaces'), strings(message.notNamespaces, 'not_namespaces')),
    principals: both(strings(message.principals, 'principals'), strings(message.notPrincipals, 'not_principals')),
    serviceAccounts: both(message.serviceAccounts.map(accountOf), message.notServiceAccounts.map(accountOf)),
    sourceIps: both(ranges(message.sourceIps, 'source_ips'), ranges(message.notSourceIps, 'not_source_ips')),
    destinationIps: both(
      ranges(message.destinationIps, 'destination_ips'),
      ranges(message.notDestinationIps, 'not_destination_ips'),
    ),
    destinationPorts: both(message.destinationPorts, message.notDestinationPorts),
  };
  if (problems.length === before) return match;
  if (action === 'allow') return EMPTY_MATCH;
  // A denial that lost its only restriction must still deny: every port but none is every connection.
  return isEmptyMatch(match) ? { ...EMPTY_MATCH, destinationPorts: { any: [], none: [NO_PORT] } } : match;
}

/** No connection goes to this port, so "not this port" holds for every one. */
const NO_PORT = 0;

function both<T>(any: readonly T[], none: readonly T[]): Condition<T> {
  return { any, none };
}

function accountOf(message: { readonly namespace: string; readonly serviceAccount: string }): ServiceAccountMatch {
  return { namespace: message.namespace, serviceAccount: message.serviceAccount };
}

function readString({ matchType }: StringMessage, field: string, problems: Problem[]): StringMatch[] {
  switch (matchType.case) {
    case 'exact':
    case 'prefix':
    case 'suffix':
      return [{ kind: matchType.case, value: matchType.value }];
    case 'presence':
      return [{ kind: 'presence', value: '' }];
    case undefined:
      problems.push({ field, message: 'has no match type that is known here' });
      return [];
  }
}

function readCidr(message: AddressMessage, field: string, problems: Problem[]): Cidr[] {
  const before = problems.length;
  const range = readRange(message.address, message.length, field, problems);
  return problems.length === before ? [range] : [];
}
