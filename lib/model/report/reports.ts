// SPDX-License-Identifier: Apache-2.0
//
// Reports on all watched objects, as one collection.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { asKind } from '../inputs.ts';
import { type KubeObject, namespaceOf } from '../object/object.ts';
import { ingressUsesWaypoint } from '../service/services.ts';
import { validateObject } from '../validate/object.ts';
import { bindingConditions, bindingProblems } from './binding.ts';
import { createEntryReports } from './entries.ts';
import { policyCondition, targetCondition } from './policy-condition.ts';
import { createReferences } from './references.ts';
import { keyed, type ObjectReport, readable, reportOf, SERVICE_MANAGER } from './report.ts';
import type { ReportSources } from './sources.ts';
import { createTelemetryReports } from './telemetry.ts';

export type { ObjectReport, ReportedCondition } from './report.ts';

export function createReports(graph: Graph, sources: ReportSources): Collection<ObjectReport> {
  const { authorizationPolicies, inputs, peerAuthentications, pods, schemas, serviceBindings, services } = sources;
  const references = createReferences(graph, sources);

  const simple = <T extends KubeObject>(of: 'namespaces' | 'serviceAccounts', objects: Collection<T>) =>
    keyed(graph, `${of} reports`, objects, (object) => {
      const typed = asKind(object, of);
      return reportOf(typed, validateObject(typed, schemas));
    });

  const podReports = keyed(graph, 'pod reports', pods, (pod, key, fetch) => {
    const typed = asKind(pod, 'pods');
    const binding = fetch.get(sources.podBindings, key);
    return reportOf(typed, [...validateObject(typed, schemas), ...bindingProblems(typed, binding)]);
  });

  const entryReports = createEntryReports(graph, sources);

  const serviceReports = keyed(graph, 'service reports', services, (service, key, fetch) => {
    const typed = asKind(service, 'services');
    const binding = fetch.get(serviceBindings, key);
    const ingress = ingressUsesWaypoint(service, fetch.get(inputs.namespaces, namespaceOf(service)));
    return reportOf(
      typed,
      [...validateObject(typed, schemas), ...bindingProblems(typed, binding)],
      bindingConditions(binding, ingress, SERVICE_MANAGER),
    );
  });

  const policyReports = keyed(graph, 'authorization policy reports', authorizationPolicies, (object, key, fetch) => {
    const typed = asKind(object, 'authorizationPolicies');
    const own = validateObject(typed, schemas);
    const converted = fetch.get(sources.converted, key);
    if (!readable(own)) return reportOf(typed, own, policyCondition(converted, own));
    const targets = references.targetsOf(typed, fetch);
    const problems = [...own, ...references.ofPolicy(typed, fetch), ...targets.problems];
    const condition = converted?.targeted === true ? targetCondition(targets) : policyCondition(converted, own);
    return reportOf(typed, problems, condition);
  });

  const peerReports = keyed(graph, 'peer authentication reports', peerAuthentications, (object, _key, fetch) => {
    const typed = asKind(object, 'peerAuthentications');
    const own = validateObject(typed, schemas);
    return reportOf(typed, readable(own) ? [...own, ...references.ofPeer(typed, fetch)] : own);
  });

  return graph.union('reports', [
    simple('namespaces', inputs.namespaces),
    simple('serviceAccounts', inputs.serviceAccounts),
    podReports,
    serviceReports,
    policyReports,
    peerReports,
    ...entryReports,
    createTelemetryReports(graph, sources, references),
    keyed(graph, 'proxy config reports', inputs.proxyConfigs, (object) => {
      const typed = asKind(object, 'proxyConfigs');
      return reportOf(typed, validateObject(typed, schemas));
    }),
  ]);
}
