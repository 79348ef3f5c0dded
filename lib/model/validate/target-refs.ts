// SPDX-License-Identifier: Apache-2.0
//
// Rules shared by all policies: a selector or target references, never both, and references to kinds that can be
// attached to.

import { table } from '#lib/kit/table.ts';
import type { Selector } from '../object/object.ts';
import type { TargetRef } from '../policy/authorization-spec.ts';
import type { ProblemList } from './problem.ts';

/** Kinds a policy can be attached to, by group. */
const TARGETS = table<string>({
  Service: '',
  ServiceEntry: 'networking.istio.io',
  Gateway: 'gateway.networking.k8s.io',
  GatewayClass: 'gateway.networking.k8s.io',
});

export interface Targeted {
  readonly selector?: Selector;
  readonly targetRef?: TargetRef;
  readonly targetRefs?: readonly TargetRef[];
}

export function checkTargets(list: ProblemList, spec: Targeted | undefined): void {
  const given = (['selector', 'targetRef', 'targetRefs'] as const).filter((field) => spec?.[field] !== undefined);
  if (given.length > 1) {
    list.error(
      'ConflictingFields',
      `spec.${given[1]}`,
      `cannot stand beside ${given[0]}`,
      `keep one of ${given.join(', ')}`,
    );
  }
  checkSelector(list, spec?.selector);
  if (spec?.targetRef !== undefined) checkRef(list, spec.targetRef, 'spec.targetRef');
  (spec?.targetRefs ?? []).forEach((ref, i) => {
    checkRef(list, ref, `spec.targetRefs[${i}]`);
  });
}

export function checkSelector(list: ProblemList, selector: Selector | undefined): void {
  if (selector === undefined) return;
  const pairs = Object.entries(selector.matchLabels ?? {});
  if (pairs.length === 0) {
    list.warning(
      'NothingSelected',
      'spec.selector',
      'is empty, which selects every workload of the namespace',
      'remove it to say so',
    );
  }
  for (const [key, value] of pairs) {
    const field = `spec.selector.matchLabels[${key}]`;
    if (key === '') list.error('InvalidValue', field, 'a label has no name', 'write a name');
    if (key.includes('*') || value.includes('*')) {
      list.error('InvalidValue', field, 'selectors know no wildcards', 'write the label out');
    }
  }
}

function checkRef(list: ProblemList, ref: TargetRef, at: string): void {
  if ((ref.name ?? '') === '') list.error('MissingField', `${at}.name`, 'is required', 'name the object');
  if (ref.namespace !== undefined && ref.namespace !== '') {
    list.error('InvalidValue', `${at}.namespace`, 'other namespaces cannot be named', 'remove namespace');
  }
  const kind = ref.kind ?? '';
  const group = TARGETS[kind];
  if (group === undefined) {
    list.error(
      'UnknownValue',
      `${at}.kind`,
      `"${kind}" cannot be attached to`,
      `write one of ${Object.keys(TARGETS).join(', ')}`,
    );
  } else if ((ref.group ?? '') !== group && !(group === '' && ref.group === 'core')) {
    list.error('InvalidValue', `${at}.group`, `"${ref.group ?? ''}" has no ${kind}`, `write "${group}"`);
  }
}
