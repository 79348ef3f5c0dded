// SPDX-License-Identifier: Apache-2.0
//
// Reports on ServiceEntries, WorkloadEntries and WorkloadGroups.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { asKind } from '../inputs.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { annotation, namespaceOf } from '../object/object.ts';
import { settingsIn } from '../scope.ts';
import { ingressUsesWaypoint } from '../service/services.ts';
import { visibilityIn } from '../service/visibility.ts';
import { validateObject } from '../validate/object.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import { bindingConditions, bindingProblems } from './binding.ts';
import {
  ENTRY_MANAGER,
  keyed,
  type ObjectReport,
  type ReportedCondition,
  reportOf,
  SERVICE_MANAGER,
} from './report.ts';
import type { ReportSources } from './sources.ts';

const CONNECT_STRATEGY = 'istio.io/connect-strategy';
const RACING = 'RACE_FIRST_TCP_CONNECT';

export function createEntryReports(graph: Graph, sources: ReportSources): readonly Collection<ObjectReport>[] {
  const { entryBindings, hostBindings, inputs, schemas, serviceEntries, settings, workloadEntries } = sources;
  return [
    keyed(graph, 'service entry reports', serviceEntries, (entry, key, fetch) => {
      const typed = asKind(entry, 'serviceEntries');
      const space = fetch.get(inputs.namespaces, namespaceOf(entry));
      const binding = fetch.get(hostBindings, key);
      const visibility = visibilityIn(space, settingsIn(settings, fetch));
      return reportOf(
        typed,
        [...validateObject(typed, schemas), ...bindingProblems(typed, binding)],
        [
          ...bindingConditions(binding, ingressUsesWaypoint(entry, space), SERVICE_MANAGER),
          ...missingWaypoint(entry, binding),
          ...visibilityCondition(visibility),
        ],
      );
    }),
    keyed(graph, 'workload entry reports', workloadEntries, (entry, key, fetch) => {
      const typed = asKind(entry, 'workloadEntries');
      const binding = fetch.get(entryBindings, key);
      return reportOf(
        typed,
        [...validateObject(typed, schemas), ...bindingProblems(typed, binding)],
        bindingConditions(binding, false, ENTRY_MANAGER),
      );
    }),
    keyed(graph, 'workload group reports', inputs.workloadGroups, (group) => {
      const typed = asKind(group, 'workloadGroups');
      return reportOf(typed, validateObject(typed, schemas));
    }),
  ];
}

/** What only a waypoint can do does not happen without one. */
function missingWaypoint(entry: ServiceEntry, binding: WaypointBinding | undefined): ReportedCondition[] {
  if (binding?.waypoint !== undefined) return [];
  const missing = { type: 'istio.io/WaypointMissing', status: 'True', manager: SERVICE_MANAGER } as const;
  const wildcard = entry.spec?.hosts?.find((host) => host.startsWith('*'));
  if (wildcard !== undefined) {
    const message = `no waypoint resolves names under ${wildcard}: connections to it are not routed`;
    return [{ ...missing, reason: 'NoWaypointForWildcardService', message }];
  }
  if (annotation(entry, CONNECT_STRATEGY) !== RACING) return [];
  const message = `no waypoint connects to several addresses at once: ${CONNECT_STRATEGY} has no effect`;
  return [{ ...missing, reason: 'NoWaypointForRacingConnectStrategy', message }];
}

function visibilityCondition(visibility: ReturnType<typeof visibilityIn>): ReportedCondition[] {
  if (visibility === undefined) return [];
  const told = { type: 'istio.io/VisibilityApplied', manager: SERVICE_MANAGER };
  switch (visibility) {
    case 'public':
      return [{ ...told, status: 'True', reason: 'Public', message: 'seen by every namespace' }];
    case 'namespace':
      return [{ ...told, status: 'True', reason: 'Namespace', message: 'seen by its own namespace' }];
    case 'none':
      return [{ ...told, status: 'False', reason: 'None', message: 'the mesh’s settings hide it from everybody' }];
  }
}
