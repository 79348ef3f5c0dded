// SPDX-License-Identifier: Apache-2.0
//
// What one expression of a selector says of a value (meta/v1 LabelSelectorRequirement, core/v1 NodeSelectorRequirement).

/** Whether it holds for a label's value, undefined where there is no label. An operator that is none of the four never does. */
export function expressionHolds(
  { operator, values = [] }: { readonly operator: unknown; readonly values?: readonly string[] },
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
