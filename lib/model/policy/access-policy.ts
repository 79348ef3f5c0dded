// SPDX-License-Identifier: Apache-2.0
//
// An AuthorizationPolicy with target references as what waypoints enforce: all of its fields. What cannot be read
// makes no policy weaker: an ALLOW rule that asks for it allows nothing, other actions do without it.

import { table } from '#lib/kit/table.ts';
import type { AccessAction, AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import { EMPTY_MATCH, type Rule } from '#lib/mesh/policy.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import { AccessMatchBuilder } from './access-match-builder.ts';
import { isDryRun } from './authorization-policy.ts';
import { type AuthorizationPolicy, type AuthorizationRule, targetRefsOf, type When } from './authorization-spec.ts';

/** What a policy is attached to, before it is known what of it exists. */
export interface AccessTargets {
  /** Names in the policy's namespace. */
  readonly services: readonly string[];
  readonly serviceEntries: readonly string[];
  readonly gateways: readonly string[];
  readonly gatewayClasses: readonly string[];
}

/** Targets of a policy of any kind that has `targetRefs`. A GatewayClass counts from the root namespace alone. */
export function accessTargets(
  object: Pick<AuthorizationPolicy, 'metadata' | 'spec'>,
  rootNamespace: string,
): AccessTargets {
  const refs = targetRefsOf(object.spec);
  const of = (kind: string): string[] => refs.filter((ref) => ref.kind === kind).map(({ name }) => name ?? '');
  return {
    services: of('Service'),
    serviceEntries: of('ServiceEntry'),
    gateways: of('Gateway'),
    gatewayClasses: namespaceOf(object) === rootNamespace ? of('GatewayClass') : [],
  };
}

type Names = Pick<MeshSettings, 'trustDomain' | 'trustDomainAliases'>;

const ACTIONS = table<AccessAction>({
  ALLOW: 'allow',
  DENY: 'deny',
  AUDIT: 'audit',
  CUSTOM: 'custom',
});

/** @param services keys of those it is for; empty when it is for all traffic of the proxy */
export function convertAccessPolicy(
  object: AuthorizationPolicy,
  settings: Names,
  services: readonly string[],
): AccessPolicy {
  const { spec } = object;
  const action = ACTIONS[spec?.action ?? 'ALLOW'] ?? 'deny';
  return {
    key: keyOf(object),
    action,
    dryRun: isDryRun(object),
    provider: spec?.provider?.name ?? '',
    services,
    rules: (spec?.rules ?? []).map((rule) => convertAccessRule(rule, action, namespaceOf(object), settings)),
  };
}

const NEVER: Rule = { clauses: [{ matches: [EMPTY_MATCH] }] };

/** Clauses in the order operations, sources, then one for each condition. */
function convertAccessRule(
  rule: AuthorizationRule | null,
  action: AccessAction,
  namespace: string,
  settings: Names,
): Rule {
  if (rule === null) return action === 'allow' ? NEVER : { clauses: [] };
  const effect = action === 'allow' ? 'allow' : 'deny';
  const builder = (): AccessMatchBuilder => new AccessMatchBuilder(effect, namespace, settings);
  const all = [
    (rule.to ?? []).map(({ operation = {} }) => builder().operation(operation).build()),
    (rule.from ?? []).map(({ source = {} }) => builder().source(source).build()),
    ...(rule.when ?? []).map((when) => [buildWhen(builder(), when)]),
  ];
  const clauses = all.flatMap((matches) => {
    if (matches.length === 0 || matches.includes('always')) return [];
    return [{ matches: matches.filter((match) => match !== 'always') }];
  });
  return { clauses };
}

function buildWhen(
  builder: AccessMatchBuilder,
  { key = '', notValues, values }: When,
): ReturnType<AccessMatchBuilder['build']> {
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined) return builder.header(header, values, notValues).build();
  const claim = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key)?.[1];
  if (claim !== undefined) {
    const names = [...claim.matchAll(/\[([^\]]+)\]/g)].map(([, name = '']) => name);
    return builder.claim(names, values, notValues).build();
  }
  return builder.when(key, values, notValues).build();
}
