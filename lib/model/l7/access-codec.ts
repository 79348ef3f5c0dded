// SPDX-License-Identifier: Apache-2.0
//
// A layer-7 access policy as its message and back. Its layer-4 part is the message node proxies know, with the same
// rule: an entry that cannot be read makes no policy weaker.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Problem, Result } from '#lib/kit/result.ts';
import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import type { AccessAction, AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import type { AccessCondition, AccessPattern, HttpConditions, NamedCondition } from '#lib/mesh/http/conditions.ts';
import { EMPTY_MATCH, type Match } from '#lib/mesh/policy.ts';
import {
  type AccessConditionSchema,
  type AccessMatchSchema,
  type AccessPattern_Kind,
  type AccessPolicy_Action,
  AccessPolicySchema,
  type AccessCondition as ConditionMessage,
  type HttpConditionsSchema,
  type HttpConditions as HttpMessage,
  type AccessMatch as MatchMessage,
  type AccessPolicy as PolicyMessage,
} from '#lib/proto/gen/waypoint_pb.ts';
import { readMatch } from '../wds/decode-policy.ts';
import { matchMessage } from '../wds/encode.ts';
import { numberOf } from '../wds/enums.ts';
import { readEnum } from '../wds/read.ts';

const ACTIONS: readonly AccessAction[] = ['allow', 'deny', 'audit', 'custom'];
const KINDS: readonly AccessPattern['kind'][] = ['exact', 'prefix', 'suffix', 'present', 'template', 'wildcard'];

export function encodeAccessPolicy(policy: AccessPolicy): PolicyMessage {
  return create(AccessPolicySchema, {
    name: policy.key,
    action: numberOf<AccessPolicy_Action, AccessAction>(ACTIONS, policy.action),
    dryRun: policy.dryRun,
    provider: policy.provider,
    services: [...policy.services],
    rules: policy.rules.map((rule) => ({
      clauses: rule.clauses.map((clause) => ({ matches: clause.matches.map(accessMatchMessage) })),
    })),
  });
}

function accessMatchMessage(match: Match): MessageInitShape<typeof AccessMatchSchema> {
  return { connection: matchMessage(match), ...(match.http && { http: httpMessage(match.http) }) };
}

function httpMessage(http: HttpConditions): MessageInitShape<typeof HttpConditionsSchema> {
  const named = (list: readonly NamedCondition[]): { name: string; value: ReturnType<typeof conditionMessage> }[] =>
    list.map(({ name, value }) => ({ name, value: conditionMessage(value) }));
  return {
    hosts: conditionMessage(http.hosts),
    methods: conditionMessage(http.methods),
    paths: conditionMessage(http.paths),
    requestPrincipals: conditionMessage(http.requestPrincipals),
    audiences: conditionMessage(http.audiences),
    presenters: conditionMessage(http.presenters),
    headers: named(http.headers),
    claims: named(http.claims),
    remoteRanges: http.remoteIps.any.map(String),
    notRemoteRanges: http.remoteIps.none.map(String),
    serverNames: conditionMessage(http.serverNames),
    peers: conditionMessage(http.peers),
  };
}

function conditionMessage({ any, none }: AccessCondition): MessageInitShape<typeof AccessConditionSchema> {
  const patterns = (list: readonly AccessPattern[]): { kind: AccessPattern_Kind; value: string }[] =>
    list.map(({ kind, value }) => ({ kind: numberOf<AccessPattern_Kind, AccessPattern['kind']>(KINDS, kind), value }));
  return { any: patterns(any), none: patterns(none) };
}

/** @returns problems alone when anything of the policy cannot be read: a policy in part is another policy */
export function decodeAccessPolicy(message: PolicyMessage): Result<AccessPolicy> {
  const problems: Problem[] = [];
  const action = readEnum(ACTIONS, message.action, 'action', problems);
  const policy: AccessPolicy = {
    key: message.name,
    action,
    dryRun: message.dryRun,
    provider: message.provider,
    services: message.services,
    rules: message.rules.map((rule, r) => ({
      clauses: rule.clauses.map((clause, c) => ({
        matches: clause.matches.map((match, m) =>
          readAccessMatch(match, `rules[${r}].clauses[${c}].matches[${m}]`, action, problems),
        ),
      })),
    })),
  };
  return problems.length === 0 ? { ok: true, value: policy } : { ok: false, problems };
}

function readAccessMatch(message: MatchMessage, field: string, action: AccessAction, problems: Problem[]): Match {
  const effect = action === 'allow' ? 'allow' : 'deny';
  const { connection, http } = message;
  const match = connection === undefined ? EMPTY_MATCH : readMatch(connection, field, effect, problems);
  return http === undefined ? match : { ...match, http: readHttp(http, `${field}.http`, problems) };
}

function readHttp(message: HttpMessage, field: string, problems: Problem[]): HttpConditions {
  const named = (list: readonly { name: string; value?: ConditionMessage | undefined }[]): NamedCondition[] =>
    list.map(({ name, value }) => ({ name, value: condition(value, field, problems) }));
  const ranges = (list: readonly string[]): Cidr[] =>
    list.flatMap((text) => {
      const range = parseCidr(text);
      if (range === undefined) problems.push({ field, message: `${text} is no address range` });
      return range === undefined ? [] : [range];
    });
  return {
    hosts: condition(message.hosts, field, problems),
    methods: condition(message.methods, field, problems),
    paths: condition(message.paths, field, problems),
    requestPrincipals: condition(message.requestPrincipals, field, problems),
    audiences: condition(message.audiences, field, problems),
    presenters: condition(message.presenters, field, problems),
    headers: named(message.headers),
    claims: named(message.claims),
    remoteIps: { any: ranges(message.remoteRanges), none: ranges(message.notRemoteRanges) },
    serverNames: condition(message.serverNames, field, problems),
    peers: condition(message.peers, field, problems),
  };
}

function condition(message: ConditionMessage | undefined, field: string, problems: Problem[]): AccessCondition {
  const patterns = (list: readonly { kind: number; value: string }[] | undefined): AccessPattern[] =>
    (list ?? []).map(({ kind, value }) => ({ kind: readEnum(KINDS, kind, field, problems), value }));
  return { any: patterns(message?.any), none: patterns(message?.none) };
}
