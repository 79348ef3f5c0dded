// SPDX-License-Identifier: Apache-2.0
//
// Reports on all watched objects, as one collection.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { asKind, type ModelInputs, type SettingsCollection } from '../inputs.ts';
import { INGRESS_USE_WAYPOINT } from '../object/names.ts';
import { type KubeObject, namespaceOf, type Pod, type Service } from '../object/object.ts';
import type { ConvertedPolicy } from '../policy/authorization-policy.ts';
import type { AuthorizationPolicy } from '../policy/authorization-spec.ts';
import type { PeerAuthentication } from '../policy/peer-authentication.ts';
import { ingressUsesWaypoint } from '../service/services.ts';
import { validateObject } from '../validate/object.ts';
import { type ObjectProblem, ProblemList } from '../validate/problem.ts';
import type { SchemaChecker } from '../validate/schema.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { policyCondition, targetCondition } from './policy-condition.ts';
import { createReferences } from './references.ts';
import { type ObjectReport, type ReportedCondition, reportKey, reportOf, SERVICE_MANAGER } from './report.ts';

export type { ObjectReport, ReportedCondition } from './report.ts';

export interface ReportSources {
  readonly schemas: SchemaChecker;
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
  readonly peerAuthentications: Collection<PeerAuthentication>;
  readonly pods: Collection<Pod>;
  readonly services: Collection<Service>;
  readonly waypoints: Collection<Waypoint>;
  readonly converted: Collection<ConvertedPolicy>;
  readonly podBindings: Collection<WaypointBinding>;
  readonly serviceBindings: Collection<WaypointBinding>;
}

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

  const serviceReports = keyed(graph, 'service reports', services, (service, key, fetch) => {
    const typed = asKind(service, 'services');
    const binding = fetch.get(serviceBindings, key);
    const ingress = ingressUsesWaypoint(service, fetch.get(inputs.namespaces, namespaceOf(service)));
    return reportOf(
      typed,
      [...validateObject(typed, schemas), ...bindingProblems(typed, binding)],
      bindingConditions(binding, ingress),
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
  ]);
}

/** Whether the object has the shape that everything but its schema believes in. */
function readable(problems: readonly ObjectProblem[]): boolean {
  return !problems.some((problem) => problem.code === 'SchemaViolation');
}

/** Reports under their own keys, which carry the kind. */
function keyed<T>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  report: (object: T, key: string, fetch: Parameters<Parameters<Graph['map']>[2]>[2]) => ObjectReport | undefined,
): Collection<ObjectReport> {
  return graph.flatMap(name, objects, (object, key, fetch) => {
    const out = report(object, key, fetch);
    return out === undefined ? [] : [[reportKey(out.object), out] as const];
  });
}

function bindingProblems(object: KubeObject, binding: WaypointBinding | undefined): ObjectProblem[] {
  if (binding?.failure === undefined) return [];
  const list = new ProblemList(object);
  const { field, message } = binding.failure;
  list.missing(
    'warning',
    'WaypointNotBound',
    field,
    `${message}; traffic goes without it`,
    'create or fix the waypoint',
    { kind: 'Gateway', namespace: namespaceOf(object) },
  );
  return list.problems;
}

function bindingConditions(binding: WaypointBinding | undefined, ingress: boolean): ReportedCondition[] {
  if (binding === undefined) return [];
  const bound = { type: 'istio.io/WaypointBound', manager: SERVICE_MANAGER };
  if (binding.failure !== undefined) {
    const { message, reason } = binding.failure;
    return [{ ...bound, status: 'False', reason, message }];
  }
  if (binding.waypoint === undefined) return [];
  const notes = [
    ingress ? `gateways pass it too (${INGRESS_USE_WAYPOINT})` : '',
    binding.weighted.length > 0 ? 'a canary takes a share' : '',
  ].filter((note) => note !== '');
  const message = [`Successfully attached to waypoint ${binding.waypoint.key}`, ...notes].join('; ');
  return [{ ...bound, status: 'True', reason: 'WaypointAccepted', message }];
}
