// SPDX-License-Identifier: Apache-2.0
// Kinds that are asked and answered, never stored: token and access reviews.
// Source: authentication.k8s.io/v1, authorization.k8s.io/v1.
import type { Action, RbacIndex, Rule } from '../auth/rbac.ts';
import { ISSUER, type Tokens } from '../auth/tokens.ts';
import type { User } from '../auth/user.ts';
import { isObject, type Json, type JsonObject, listAt, objectAt, textAt } from '../json.ts';
import { badRequest } from '../status.ts';
import type { Target } from './target.ts';

export interface ReviewParts {
  readonly tokens: Tokens;
  readonly rbac: () => RbacIndex;
}

/** Answers a review; the body is returned with its status filled. */
export async function review(parts: ReviewParts, target: Target, body: JsonObject): Promise<JsonObject> {
  const { kind } = target.resource;
  const status = await statusOf(parts, target, body);
  return {
    ...body,
    kind,
    apiVersion: `${target.resource.group}/${target.version.name}`,
    metadata: objectAt(body, 'metadata'),
    status,
  };
}

async function statusOf({ tokens, rbac }: ReviewParts, target: Target, body: JsonObject): Promise<JsonObject> {
  const spec = objectAt(body, 'spec');
  switch (target.resource.kind) {
    case 'TokenReview': {
      const audiences = listAt(spec, 'audiences').map(String);
      const answer = await tokens.review(textAt(spec, 'token') ?? '', audiences.length > 0 ? audiences : [ISSUER]);
      if (!answer)
        return {
          authenticated: false,
          error: 'the token is unknown, expired, for other audiences, or its objects are gone',
        };
      return { authenticated: true, user: userInfo(answer.user), audiences: [...answer.audiences] };
    }
    case 'SelfSubjectReview':
      return { userInfo: userInfo(target.user) };
    case 'SelfSubjectRulesReview':
      return rulesStatus(rbac().rulesFor(target.user, textAt(spec, 'namespace') ?? ''));
    case 'SelfSubjectAccessReview':
      return accessStatus(rbac(), target.user, spec, '');
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview':
      return accessStatus(rbac(), userOf(spec), spec, target.namespace);
    default:
      throw badRequest(`${target.resource.kind} cannot be created here`);
  }
}

export const userInfo = (user: User): JsonObject => ({
  username: user.name,
  ...(user.uid ? { uid: user.uid } : {}),
  groups: [...user.groups],
  ...(user.extra
    ? { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }
    : {}),
});

function userOf(spec: JsonObject): User {
  const name = textAt(spec, 'user') ?? '';
  const groups = listAt(spec, 'groups').map(String);
  if (name === '' && groups.length === 0)
    throw badRequest('spec.user: at least one of user or group must be specified');
  return { name, groups };
}

function accessStatus(rbac: RbacIndex, user: User, spec: JsonObject, namespace: string): JsonObject {
  const verdict = rbac.authorize(user, actionOf(spec, namespace));
  return verdict.allowed ? { allowed: true, reason: verdict.reason } : { allowed: false };
}

function actionOf(spec: JsonObject, namespace: string): Action {
  const path = spec['nonResourceAttributes'];
  if (isObject(path)) return { kind: 'path', verb: textAt(path, 'verb') ?? '', path: textAt(path, 'path') ?? '' };
  const resource: Json = spec['resourceAttributes'] ?? {};
  return {
    kind: 'resource',
    verb: textAt(resource, 'verb') ?? '',
    group: textAt(resource, 'group') ?? '',
    resource: textAt(resource, 'resource') ?? '',
    subresource: textAt(resource, 'subresource') ?? '',
    namespace: textAt(resource, 'namespace') ?? namespace,
    name: textAt(resource, 'name') ?? '',
  };
}

function rulesStatus(rules: readonly Rule[]): JsonObject {
  const resourceRules = rules
    .filter((rule) => rule.resources.length > 0)
    .map((rule) => ({
      verbs: [...rule.verbs],
      apiGroups: [...rule.groups],
      resources: [...rule.resources],
      ...(rule.names.length ? { resourceNames: [...rule.names] } : {}),
    }));
  const nonResourceRules = rules
    .filter((rule) => rule.paths.length > 0)
    .map((rule) => ({ verbs: [...rule.verbs], nonResourceURLs: [...rule.paths] }));
  return { resourceRules, nonResourceRules, incomplete: false };
}
