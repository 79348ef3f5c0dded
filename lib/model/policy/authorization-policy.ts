// SPDX-License-Identifier: Apache-2.0
//
// An AuthorizationPolicy as what node proxies are told, and as what its author is told.

import type { Policy } from '#lib/mesh/policy.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import { DRY_RUN } from '../object/names.ts';
import { annotation, keyOf, namespaceOf } from '../object/object.ts';
import type { Labels } from '../object/selector.ts';
import { type AuthorizationPolicy, targetRefsOf } from './authorization-spec.ts';
import { convertRule } from './convert-rule.ts';

/** What becomes of a policy at layer 4. */
export interface ConvertedPolicy {
  /** What is sent; undefined when nothing is. */
  readonly policy: Policy | undefined;
  /** Of a policy with scope `selector`. */
  readonly selector: Labels | undefined;
  /** Attached to Gateways or Services: layer 7 enforces it, node proxies do not see it. */
  readonly targeted: boolean;
  /** The action cannot be enforced here at all. */
  readonly unsupported: string | undefined;
  /** Fields that only layer 7 can judge, sorted. */
  readonly layer7: readonly string[];
}

const UNTOUCHED: ConvertedPolicy = {
  policy: undefined,
  selector: undefined,
  targeted: false,
  unsupported: undefined,
  layer7: [],
};

export function convertAuthorizationPolicy(object: AuthorizationPolicy, settings: MeshSettings): ConvertedPolicy {
  const { spec } = object;
  if (targetRefsOf(spec).length > 0) return { ...UNTOUCHED, targeted: true };
  const action = spec?.action ?? 'ALLOW';
  if (action !== 'ALLOW' && action !== 'DENY') return { ...UNTOUCHED, unsupported: `action ${action}` };
  const dryRun = isDryRun(object);
  if (dryRun && !settings.dryRunPolicies) return { ...UNTOUCHED, unsupported: `annotation ${DRY_RUN}` };

  const namespace = namespaceOf(object);
  const effect = action === 'DENY' ? 'deny' : 'allow';
  const rules = (spec?.rules ?? []).map((rule) => convertRule(rule, effect, namespace));
  const selector = spec?.selector === undefined ? undefined : (spec.selector.matchLabels ?? {});
  return {
    ...UNTOUCHED,
    policy: {
      key: keyOf(object),
      namespace,
      name: object.metadata.name,
      scope: scopeOf(selector, namespace, settings.rootNamespace),
      action: effect,
      dryRun,
      rules: rules.map((one) => one.rule),
    },
    selector,
    layer7: [...new Set(rules.flatMap((one) => one.layer7))].sort(),
  };
}

/**
 * What stands in for a policy whose spec has a shape that no API server with our schemas would let pass: a permission
 * that permits nothing, or a denial of everything, for its whole namespace.
 */
export function closedPolicy(object: AuthorizationPolicy, settings: MeshSettings): ConvertedPolicy {
  const namespace = namespaceOf(object);
  const action = object.spec?.action === 'DENY' ? 'deny' : 'allow';
  return {
    ...UNTOUCHED,
    policy: {
      key: keyOf(object),
      namespace,
      name: object.metadata.name,
      scope: scopeOf(undefined, namespace, settings.rootNamespace),
      action,
      dryRun: false,
      rules: action === 'deny' ? [{ clauses: [] }] : [],
    },
  };
}

function scopeOf(selector: Labels | undefined, namespace: string, rootNamespace: string): Policy['scope'] {
  if (selector !== undefined) return 'selector';
  return namespace === rootNamespace ? 'global' : 'namespace';
}

export function isDryRun(object: AuthorizationPolicy): boolean {
  return annotation(object, DRY_RUN)?.toLowerCase() === 'true';
}
