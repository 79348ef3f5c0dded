// SPDX-License-Identifier: Apache-2.0
// Which pods belong to the mesh: one pure function for the plugin, which asks before a pod starts, and the agent, which
// asks again whenever labels change. Every answer has a reason that can be shown.

import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import { own } from '#lib/kit/table.ts';
import { expressionHolds } from '#lib/model/object/label-expression.ts';

/** A label selector (Kubernetes API, LabelSelector). Empty matches everything. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** A pod is chosen when both halves match; an absent half matches everything. */
export interface EnablementSelector {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
}

export interface PodTraits {
  readonly hostNetwork: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Eligibility {
  readonly eligible: boolean;
  readonly reason: string;
}

const MODE = 'istio.io/dataplane-mode';
const SIDECAR = 'sidecar.istio.io/status';

/** The label on the pod, or on its namespace unless the pod opts out. */
export const DEFAULT_SELECTORS: readonly EnablementSelector[] = [
  { podSelector: { matchLabels: { [MODE]: 'ambient' } } },
  {
    podSelector: { matchExpressions: [{ key: MODE, operator: 'NotIn', values: ['none'] }] },
    namespaceSelector: { matchLabels: { [MODE]: 'ambient' } },
  },
];

/** Whether a pod belongs to the mesh; the first rule that applies decides. */
export function eligibility(
  pod: PodTraits,
  namespaceLabels: Readonly<Record<string, string>>,
  selectors: readonly EnablementSelector[] = DEFAULT_SELECTORS,
): Eligibility {
  if (pod.hostNetwork) return { eligible: false, reason: 'the pod uses the network of its node' };
  if (pod.annotations[SIDECAR] !== undefined) return { eligible: false, reason: `the pod has a sidecar (${SIDECAR})` };
  const index = selectors.findIndex(
    ({ podSelector = {}, namespaceSelector = {} }) =>
      matchesLabels(podSelector, pod.labels) && matchesLabels(namespaceSelector, namespaceLabels),
  );
  if (index !== -1)
    return { eligible: true, reason: `enablement selector ${index + 1} of ${selectors.length} matches` };
  const own = pod.labels[MODE];
  return {
    eligible: false,
    reason:
      own === undefined
        ? `neither pod nor namespace is labelled ${MODE}=ambient`
        : `the pod is labelled ${MODE}=${own}`,
  };
}

/** Whether labels satisfy every requirement of a selector; an unknown operator satisfies nothing. */
export function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => own(labels, key) === value);
  return (
    exact &&
    (selector.matchExpressions ?? []).every((expression) => expressionHolds(expression, own(labels, expression.key)))
  );
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** Checks a list of selectors that came from YAML or JSON; `field` is where it stood. */
export function checkSelectors(value: unknown, field: string): Result<readonly EnablementSelector[]> {
  if (!Array.isArray(value))
    return fail({ field, message: 'is no list', fix: 'write a list of {podSelector, namespaceSelector}' });
  const problems: Problem[] = value.flatMap((item, i) => [
    ...selectorProblems((item as EnablementSelector | null)?.podSelector, `${field}[${i}].podSelector`),
    ...selectorProblems((item as EnablementSelector | null)?.namespaceSelector, `${field}[${i}].namespaceSelector`),
  ]);
  const [first, ...rest] = problems;
  return first === undefined ? ok(value as EnablementSelector[]) : fail(first, ...rest);
}

function selectorProblems(selector: LabelSelector | undefined | null, field: string): Problem[] {
  return (selector?.matchExpressions ?? []).flatMap(({ operator }, i) =>
    OPERATORS.includes(operator)
      ? []
      : [
          {
            field: `${field}.matchExpressions[${i}].operator`,
            message: `${JSON.stringify(operator)} is unknown`,
            fix: `write one of ${OPERATORS.join(', ')}`,
          },
        ],
  );
}
