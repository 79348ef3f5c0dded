// SPDX-License-Identifier: Apache-2.0
//
// Who sees a ServiceEntry: everybody, its own namespace, or nobody, by the mesh's settings.

import type { MeshSettings, VisibilityRule } from '../mesh-settings.ts';
import { selectorMatches } from '../object/label-selector.ts';
import { labelsOf, type Namespace } from '../object/object.ts';

/** undefined when the settings say nothing about visibility, which is everybody. */
export function visibilityIn(
  space: Namespace | undefined,
  { visibility }: Pick<MeshSettings, 'visibility'>,
): VisibilityRule['visibility'] | undefined {
  if (visibility.length === 0) return undefined;
  const labels = space === undefined ? {} : labelsOf(space);
  const rule = visibility.find(({ namespaces }) => namespaces.every((one) => selectorMatches(one, labels)));
  return rule?.visibility ?? 'public';
}
