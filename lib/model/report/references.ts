// SPDX-License-Identifier: Apache-2.0
//
// Names in policies that lead nowhere: targets, accounts, namespaces, and selectors that select nobody. Each is
// watched, so that a report is taken back when the missing thing appears.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { parsePrincipal } from '#lib/mesh/identity.ts';
import { profiles } from '../gateway/classes.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import type { ServiceEntry, WorkloadEntry } from '../object/entry.ts';
import { labelsOf, namespaceOf, type Pod, type Service } from '../object/object.ts';
import { candidateKeys, type Labels, selectorKey, selects } from '../object/selector.ts';
import { type AuthorizationPolicy, type Source, type TargetRef, targetRefsOf } from '../policy/authorization-spec.ts';
import type { PeerAuthentication } from '../policy/peer-authentication.ts';
import { settingsIn } from '../scope.ts';
import { type ObjectProblem, ProblemList } from '../validate/problem.ts';
import type { WaypointBinding } from '../waypoint/binding.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { entryLabels } from '../workload/machine.ts';
import type { TargetStanding, Targets } from './policy-condition.ts';

export interface ReferenceSources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly pods: Collection<Pod>;
  readonly services: Collection<Service>;
  readonly waypoints: Collection<Waypoint>;
  readonly serviceBindings: Collection<WaypointBinding>;
  readonly serviceEntries: Collection<ServiceEntry>;
  readonly workloadEntries: Collection<WorkloadEntry>;
  /** By the ServiceEntry's key. */
  readonly hostBindings: Collection<WaypointBinding>;
}

export interface References {
  /** Accounts, namespaces and selectors of a policy. */
  ofPolicy(object: AuthorizationPolicy, fetch: Fetch): ObjectProblem[];
  ofPeer(object: PeerAuthentication, fetch: Fetch): ObjectProblem[];
  /** Of an object of any kind that has `targetRefs`. */
  targetsOf(object: Pick<AuthorizationPolicy, 'metadata' | 'kind' | 'spec'>, fetch: Fetch): Targets;
}

export function createReferences(graph: Graph, sources: ReferenceSources): References {
  // Labels alone, so that pods that come and go from readiness wake no report.
  const podLabels = graph.map('pod labels', sources.pods, (pod) => ({
    namespace: namespaceOf(pod),
    labels: labelsOf(pod),
  }));
  const byLabel = graph.index('pod labels by pair', podLabels, ({ labels, namespace }) =>
    candidateKeys(namespace, labels),
  );
  const entriesByLabel = graph.index('workload entries by label', sources.workloadEntries, (entry) =>
    candidateKeys(namespaceOf(entry), entryLabels(entry)),
  );
  const selected = (namespace: string, selector: Labels, fetch: Fetch): boolean => {
    const key = selectorKey(namespace, selector);
    return (
      fetch.lookup(byLabel, key).some(({ labels }) => selects(selector, labels)) ||
      fetch.lookup(entriesByLabel, key).some((entry) => selects(selector, entryLabels(entry)))
    );
  };

  const checkSelector = (list: ProblemList, namespace: string, selector: Labels | undefined, fetch: Fetch): void => {
    const { rootNamespace } = settingsIn(sources.settings, fetch);
    // In the root namespace a selector reaches into every namespace.
    if (selector === undefined || Object.keys(selector).length === 0 || namespace === rootNamespace) return;
    if (selected(namespace, selector, fetch)) return;
    const text = Object.entries(selector)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    list.missing(
      'warning',
      'NothingSelected',
      'spec.selector.matchLabels',
      `no Pod of namespace ${namespace} has ${text}`,
      'correct the labels, or create the Pods',
      { kind: 'Pod', namespace },
    );
  };

  return {
    ofPolicy: (object, fetch) => {
      const list = new ProblemList(object);
      const namespace = namespaceOf(object);
      checkSelector(list, namespace, object.spec?.selector?.matchLabels, fetch);
      (object.spec?.rules ?? []).forEach((rule, r) => {
        (rule?.from ?? []).forEach(({ source }, f) => {
          checkSource(list, source ?? {}, `spec.rules[${r}].from[${f}].source`, namespace, sources, fetch);
        });
      });
      return list.problems;
    },
    ofPeer: (object, fetch) => {
      const list = new ProblemList(object);
      checkSelector(list, namespaceOf(object), object.spec?.selector?.matchLabels, fetch);
      return list.problems;
    },
    targetsOf: (object, fetch) => {
      const list = new ProblemList(object);
      const refs = targetRefsOf(object.spec);
      const many = object.spec?.targetRefs !== undefined && object.spec.targetRefs.length > 0;
      const standings = refs.map((ref, i) => {
        const standing = standingOf(ref, namespaceOf(object), sources, fetch);
        const field = many ? `spec.targetRefs[${i}].name` : 'spec.targetRef.name';
        if (standing.standing === 'missing') {
          const lookedFor = { kind: ref.kind ?? '', namespace: ref.kind === 'GatewayClass' ? '' : namespaceOf(object) };
          list.missing(
            'error',
            'ReferenceNotFound',
            field,
            standing.message,
            'create it, or correct the name',
            lookedFor,
          );
        } else if (standing.standing === 'unbound') {
          const lookedFor = { kind: 'Gateway', namespace: namespaceOf(object) };
          list.missing('warning', 'WaypointNotBound', field, standing.message, 'bind it to a waypoint', lookedFor);
        }
        return standing;
      });
      return { standings, problems: list.problems };
    },
  };
}

function standingOf(ref: TargetRef, namespace: string, sources: ReferenceSources, fetch: Fetch): TargetStanding {
  const { group = '', kind = '', name = '' } = ref;
  const key = `${namespace}/${name}`;
  const text = `${kind}.${group === '' ? 'core' : group}:${key}`;
  const missing = { text, standing: 'missing', message: `${kind} ${key} does not exist` } as const;
  const bound = { text, standing: 'bound', message: '' } as const;
  switch (kind) {
    case 'Service': {
      if (fetch.get(sources.services, key) === undefined) return missing;
      if (fetch.get(sources.serviceBindings, key)?.waypoint !== undefined) return bound;
      return { text, standing: 'unbound', message: `Service ${key} has no waypoint to enforce it` };
    }
    case 'ServiceEntry': {
      if (fetch.get(sources.serviceEntries, key) === undefined) return missing;
      if (fetch.get(sources.hostBindings, key)?.waypoint !== undefined) return bound;
      return { text, standing: 'unbound', message: `ServiceEntry ${key} has no waypoint to enforce it` };
    }
    case 'Gateway':
      return fetch.get(sources.inputs.gateways, key) === undefined ? missing : bound;
    case 'GatewayClass': {
      const { rootNamespace } = settingsIn(sources.settings, fetch);
      const object = fetch.get(sources.inputs.gatewayClasses, name);
      if (namespace !== rootNamespace) {
        return { text, standing: 'invalid', message: `a policy for a GatewayClass belongs in ${rootNamespace}` };
      }
      if (object === undefined) return { ...missing, message: `GatewayClass ${name} does not exist` };
      const ours = profiles(false).some(({ controllerName }) => controllerName === object.spec?.['controllerName']);
      return ours ? bound : { text, standing: 'invalid', message: `GatewayClass ${name} is not a class of waypoints` };
    }
    default:
      return { text, standing: 'invalid', message: `${kind} cannot be attached to here` };
  }
}

function checkSource(
  list: ProblemList,
  source: Source,
  at: string,
  namespace: string,
  sources: ReferenceSources,
  fetch: Fetch,
): void {
  const { inputs, settings } = sources;
  const missingAccount = (field: string, key: string): void => {
    if (fetch.get(inputs.serviceAccounts, key) !== undefined) return;
    const lookedFor = { kind: 'ServiceAccount', namespace: key.slice(0, key.indexOf('/')) };
    const message = `ServiceAccount ${key} does not exist`;
    list.missing('warning', 'ReferenceNotFound', field, message, 'create it, or correct the name', lookedFor);
  };
  source.serviceAccounts?.forEach((text, i) => {
    missingAccount(`${at}.serviceAccounts[${i}]`, text.includes('/') ? text : `${namespace}/${text}`);
  });
  const { trustDomain } = settingsIn(settings, fetch);
  source.principals?.forEach((text, i) => {
    const identity = text.includes('*') ? undefined : parsePrincipal(text);
    // Another trust domain's accounts are another cluster's to know.
    if (identity?.trustDomain !== trustDomain) return;
    missingAccount(`${at}.principals[${i}]`, `${identity.namespace}/${identity.serviceAccount}`);
  });
  source.namespaces?.forEach((name, i) => {
    if (name.includes('*') || name === '' || fetch.get(inputs.namespaces, name) !== undefined) return;
    list.missing(
      'warning',
      'ReferenceNotFound',
      `${at}.namespaces[${i}]`,
      `Namespace ${name} does not exist`,
      'create it, or correct the name',
      { kind: 'Namespace', namespace: '' },
    );
  });
}
