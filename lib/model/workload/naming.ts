// SPDX-License-Identifier: Apache-2.0
//
// What labels and annotations say of any workload: its names in telemetry, and how it is reached.

import type { Workload } from '#lib/mesh/workload.ts';
import * as names from '../object/names.ts';
import type { Labels } from '../object/selector.ts';

/** Names in telemetry; `workloadName` is the last resort. */
export function canonicalOf(
  labels: Labels,
  workloadName: string,
): Pick<Workload, 'canonicalName' | 'canonicalRevision'> {
  return {
    canonicalName: labels[names.CANONICAL_NAME] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? workloadName,
    canonicalRevision:
      labels[names.CANONICAL_REVISION] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest',
  };
}

/** How it is reached: by the agent's annotation, or because it ends tunnels itself. The mode label alone says nothing. */
export function tunnelOf(labels: Labels, annotations: Labels): Pick<Workload, 'protocol' | 'nativeTunnel'> {
  const native = labels[names.TUNNEL]?.split(',').some((one) => one.trim() === 'http');
  if (native === true) return { protocol: 'hbone', nativeTunnel: true };
  return { protocol: annotations[names.REDIRECTION] === 'enabled' ? 'hbone' : 'none', nativeTunnel: false };
}
