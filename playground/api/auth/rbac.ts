// SPDX-License-Identifier: Apache-2.0
// RBAC evaluation: may this user do this? A pure look-up over bindings and roles, rebuilt when one of them changes.
// Source: rbac.authorization.k8s.io/v1.
import { isObject, type Json, type KubeObject, listAt, textAt } from '../json.ts';
import { matchLabelSelector } from '../store/selector.ts';
import { MASTERS, type User } from './user.ts';

/** What is asked for. */
export type Action =
  | {
      readonly kind: 'resource';
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly kind: 'path'; readonly verb: string; readonly path: string };

export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  readonly resources: readonly string[];
  readonly names: readonly string[];
  readonly paths: readonly string[];
}

/** Rules granted to a subject, in one namespace ('' is every one), by one binding. */
interface Grant {
  readonly namespace: string;
  readonly rules: readonly Rule[];
  readonly because: string;
}

export interface RbacObjects {
  readonly roles: Iterable<KubeObject>;
  readonly clusterRoles: Iterable<KubeObject>;
  readonly roleBindings: Iterable<KubeObject>;
  readonly clusterRoleBindings: Iterable<KubeObject>;
}

export type Verdict = { readonly allowed: true; readonly reason: string } | { readonly allowed: false };

const texts = (value: Json | undefined, field: string): string[] => listAt(value, field).map(String);
const readRules = (role: KubeObject): Rule[] =>
  listAt(role, 'rules').map((rule) => ({
    verbs: texts(rule, 'verbs'),
    groups: texts(rule, 'apiGroups'),
    resources: texts(rule, 'resources'),
    names: texts(rule, 'resourceNames'),
    paths: texts(rule, 'nonResourceURLs'),
  }));

/** An immutable index of all grants by subject. */
export class RbacIndex {
  readonly #grants = new Map<string, Grant[]>();

  constructor(objects: RbacObjects) {
    const clusterRoles = new Map([...objects.clusterRoles].map((role) => [role.metadata.name ?? '', role]));
    const roles = new Map([...objects.roles].map((role) => [`${role.metadata.namespace}/${role.metadata.name}`, role]));
    const rulesOf = (binding: KubeObject): Rule[] => {
      const name = textAt(binding, 'roleRef', 'name') ?? '';
      if (textAt(binding, 'roleRef', 'kind') === 'ClusterRole') {
        const role = clusterRoles.get(name);
        return role ? aggregatedRules(role, clusterRoles) : [];
      }
      const role = roles.get(`${binding.metadata.namespace}/${name}`);
      return role ? readRules(role) : [];
    };
    for (const binding of objects.clusterRoleBindings) this.#add(binding, '', rulesOf(binding));
    for (const binding of objects.roleBindings) this.#add(binding, binding.metadata.namespace ?? '', rulesOf(binding));
  }

  #add(binding: KubeObject, namespace: string, rules: readonly Rule[]): void {
    if (rules.length === 0) return;
    const because = `RBAC: allowed by ${binding.kind} "${namespace ? `${binding.metadata.name}/${namespace}` : binding.metadata.name}" of ${textAt(binding, 'roleRef', 'kind')} "${textAt(binding, 'roleRef', 'name')}"`;
    for (const subject of listAt(binding, 'subjects').filter(isObject)) {
      const key = subjectKey(
        String(subject['kind']),
        String(subject['name']),
        String(subject['namespace'] ?? namespace),
      );
      const list = this.#grants.get(key) ?? [];
      list.push({ namespace, rules, because });
      this.#grants.set(key, list);
    }
  }

  authorize(user: User, action: Action): Verdict {
    if (user.groups.includes(MASTERS)) return { allowed: true, reason: `group ${MASTERS}` };
    for (const grant of this.#of(user)) {
      if (grant.namespace !== '' && (action.kind === 'path' || action.namespace !== grant.namespace)) continue;
      if (grant.rules.some((rule) => covers(rule, action))) return { allowed: true, reason: grant.because };
    }
    return { allowed: false };
  }

  /** Every rule the user has in a namespace, for SelfSubjectRulesReview. */
  rulesFor(user: User, namespace: string): Rule[] {
    const all: Rule = { verbs: ['*'], groups: ['*'], resources: ['*'], names: [], paths: ['*'] };
    if (user.groups.includes(MASTERS)) return [all];
    return this.#of(user)
      .filter((grant) => grant.namespace === '' || grant.namespace === namespace)
      .flatMap((grant) => grant.rules);
  }

  #of(user: User): Grant[] {
    const keys = [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)];
    return keys.flatMap((key) => this.#grants.get(key) ?? []);
  }
}

const subjectKey = (kind: string, name: string, namespace: string): string =>
  kind === 'ServiceAccount' ? `User:system:serviceaccount:${namespace}:${name}` : `${kind}:${name}`;

/** Own rules, or those of every cluster role an aggregation rule selects. */
export function aggregatedRules(role: KubeObject, all: ReadonlyMap<string, KubeObject>): Rule[] {
  const selectors = listAt(role, 'aggregationRule', 'clusterRoleSelectors').map(matchLabelSelector);
  if (selectors.length === 0) return readRules(role);
  const rules: Rule[] = [];
  for (const other of all.values())
    if (other !== role && selectors.some((match) => match(other.metadata.labels))) rules.push(...readRules(other));
  return rules;
}

const includes = (list: readonly string[], value: string): boolean => list.includes('*') || list.includes(value);

/** Whether one rule covers the action. */
export function covers(rule: Rule, action: Action): boolean {
  if (!includes(rule.verbs, action.verb)) return false;
  if (action.kind === 'path')
    return rule.paths.some((path) =>
      path.endsWith('*') ? action.path.startsWith(path.slice(0, -1)) : path === action.path,
    );
  if (!includes(rule.groups, action.group)) return false;
  if (rule.names.length > 0 && !rule.names.includes(action.name)) return false;
  const full = action.subresource ? `${action.resource}/${action.subresource}` : action.resource;
  return rule.resources.some(
    (resource) =>
      resource === '*' || resource === full || (action.subresource !== '' && resource === `*/${action.subresource}`),
  );
}

/** What a 403 says, in the API's own words. */
export function describeDenied(user: User, action: Action): string {
  if (action.kind === 'path') return `User "${user.name}" cannot ${action.verb} path "${action.path}"`;
  const what = action.subresource ? `${action.resource}/${action.subresource}` : action.resource;
  const where = action.namespace ? `in the namespace "${action.namespace}"` : 'at the cluster scope';
  return `User "${user.name}" cannot ${action.verb} resource "${what}" in API group "${action.group}" ${where}`;
}
