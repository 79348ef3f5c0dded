// SPDX-License-Identifier: Apache-2.0
//
// The mesh's policies as collections: what is sent, and by which keys a workload is bound to it.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { Identity } from '#lib/mesh/identity.ts';
import { EMPTY_MATCH, type Policy } from '#lib/mesh/policy.ts';
import type { SettingsCollection } from '../inputs.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import { namespaceOf } from '../object/object.ts';
import { candidateKeys, type Labels, selectorKey, selects } from '../object/selector.ts';
import { settingsIn } from '../scope.ts';
import type { Waypoint } from '../waypoint/gateway.ts';
import { type ConvertedPolicy, closedPolicy, convertAuthorizationPolicy } from './authorization-policy.ts';
import type { AuthorizationPolicy } from './authorization-spec.ts';
import {
  convertPeerAuthentication,
  inheritedMode,
  type MtlsMode,
  oldest,
  type PeerAuthentication,
  peerPolicyKeys,
  selectorOf,
  staticStrictPolicy,
} from './peer-authentication.ts';

export interface PolicyCollections {
  /** AuthorizationPolicies by their own key. */
  readonly converted: Collection<ConvertedPolicy>;
  /** Everything node proxies are told, by policy key. */
  readonly policies: Collection<Policy>;
  /** Keys that a pod's workload is bound to, in Istio's order. */
  boundTo(
    pod: { readonly namespace: string; readonly labels: Labels; readonly waypoint: Waypoint | undefined },
    fetch: Fetch,
  ): readonly string[];
}

export interface PolicySources {
  readonly authorizationPolicies: Collection<AuthorizationPolicy>;
  readonly peerAuthentications: Collection<PeerAuthentication>;
  readonly waypoints: Collection<Waypoint>;
  readonly settings: SettingsCollection;
}

export function createPolicies(graph: Graph, sources: PolicySources): PolicyCollections {
  const { authorizationPolicies, peerAuthentications, settings, waypoints } = sources;
  const converted = graph.map('converted authorization policies', authorizationPolicies, (object, _key, fetch) =>
    convertOrClose(object, settingsIn(settings, fetch)),
  );
  const bySelector = graph.index('authorization policies by selector', converted, ({ policy, selector }) =>
    policy === undefined || selector === undefined ? [] : [selectorKey(policy.namespace, selector)],
  );
  const selecting = namespacesOf(graph, 'authorization policies', converted, ({ policy, selector }) =>
    policy === undefined || selector === undefined ? undefined : policy.namespace,
  );
  const own = graph.map('authorization policies sent', converted, (one) => one.policy);
  const peers = createPeerPolicies(graph, peerAuthentications, settings);
  const allowed = graph.flatMap('waypoint policies', waypoints, (waypoint, _key, fetch): [string, Policy][] => {
    const { autoAllowWaypoints, trustDomain } = settingsIn(settings, fetch);
    if (!autoAllowWaypoints) return [];
    const policy = allowWaypoint(waypoint, trustDomain);
    return [[policy.key, policy]];
  });
  return {
    converted,
    policies: graph.union('policies', [own, peers.policies, allowed]),
    boundTo: ({ labels, namespace, waypoint }, fetch) => {
      const { autoAllowWaypoints, rootNamespace } = settingsIn(settings, fetch);
      const scopes = namespace === rootNamespace ? [] : inUse(selecting, namespace, fetch);
      const keys = keysSelecting(bySelector, [...scopes, rootNamespace], labels, fetch);
      const implicit = waypoint !== undefined && autoAllowWaypoints ? [waypointPolicyKey(waypoint)] : [];
      return [...keys, ...peers.keysOf(namespace, rootNamespace, labels, fetch), ...implicit];
    },
  };
}

function convertOrClose(object: AuthorizationPolicy, settings: MeshSettings): ConvertedPolicy {
  try {
    return convertAuthorizationPolicy(object, settings);
  } catch {
    // Only a shape that the schema forbids makes it throw; the report on the object says what is wrong with it.
    return closedPolicy(object, settings);
  }
}

/** Namespaces in which there are objects that `namespaceOfOne` names one for. Most have none: their pods need not look
 * for each of their labels, and need not be remembered as having looked. */
function namespacesOf<T>(
  graph: Graph,
  name: string,
  objects: Collection<T>,
  namespaceOfOne: (one: T) => string | undefined,
): Collection<true> {
  const byNamespace = graph.index(`${name} that select, by namespace`, objects, (one) => {
    const namespace = namespaceOfOne(one);
    return namespace === undefined ? [] : [namespace];
  });
  return graph.group(`namespaces with ${name} that select`, byNamespace, () => true as const);
}

function inUse(selecting: Collection<true>, namespace: string, fetch: Fetch): string[] {
  return fetch.get(selecting, namespace) === undefined ? [] : [namespace];
}

/** Keys of selector policies of these namespaces that match, sorted. */
function keysSelecting(
  bySelector: Index<ConvertedPolicy>,
  scopes: readonly string[],
  labels: Labels,
  fetch: Fetch,
): string[] {
  const keys = new Set<string>();
  for (const scope of scopes) {
    for (const candidate of candidateKeys(scope, labels)) {
      for (const { policy, selector } of fetch.lookup(bySelector, candidate)) {
        if (policy !== undefined && selector !== undefined && selects(selector, labels)) keys.add(policy.key);
      }
    }
  }
  return [...keys].sort();
}

const EVERY = 'all';

function createPeerPolicies(
  graph: Graph,
  objects: Collection<PeerAuthentication>,
  settings: SettingsCollection,
): {
  readonly policies: Collection<Policy>;
  keysOf(namespace: string, rootNamespace: string, labels: Labels, fetch: Fetch): readonly string[];
} {
  const ofNamespace = graph.index('peer authentications of namespaces', objects, (object) =>
    selectorOf(object) === undefined ? [namespaceOf(object)] : [],
  );
  const bySelector = graph.index('peer authentications by selector', objects, (object) => {
    const selector = selectorOf(object);
    return selector === undefined ? [] : [selectorKey(namespaceOf(object), selector)];
  });
  const selecting = namespacesOf(graph, 'peer authentications', objects, (object) =>
    selectorOf(object) === undefined ? undefined : namespaceOf(object),
  );
  const all = graph.index('peer authentications', objects, () => [EVERY]);
  const inherited = (namespace: string, rootNamespace: string, fetch: Fetch): MtlsMode =>
    inheritedMode(
      namespace === rootNamespace ? undefined : oldest(fetch.lookup(ofNamespace, namespace)),
      oldest(fetch.lookup(ofNamespace, rootNamespace)),
    );
  const converted = graph.flatMap('converted peer authentications', objects, (object, _key, fetch) => {
    const { rootNamespace } = settingsIn(settings, fetch);
    const policy = convertPeerAuthentication(
      object,
      inherited(namespaceOf(object), rootNamespace, fetch),
      rootNamespace,
    );
    return policy === undefined ? [] : [[policy.key, policy] as const];
  });
  const strict = graph.group('strict policy', all, (_members, _key, fetch) =>
    staticStrictPolicy(settingsIn(settings, fetch).rootNamespace),
  );
  const keyed = graph.flatMap('strict policy by key', strict, (policy) => [[policy.key, policy]]);
  return {
    policies: graph.union('peer authentication policies', [converted, keyed]),
    keysOf: (namespace, rootNamespace, labels, fetch) => {
      const scopes = namespace === rootNamespace ? [] : inUse(selecting, namespace, fetch);
      const matching = scopes
        .flatMap((scope) => candidateKeys(scope, labels))
        .flatMap((candidate) => fetch.lookup(bySelector, candidate))
        .filter((object) => selects(selectorOf(object) ?? {}, labels));
      return peerPolicyKeys(oldest(matching), inherited(namespace, rootNamespace, fetch), rootNamespace);
    },
  };
}

function waypointPolicyName(waypoint: Waypoint): string {
  return `istio_allow_waypoint_${waypoint.namespace}_${waypoint.name}`;
}

function waypointPolicyKey(waypoint: Waypoint): string {
  return `${waypoint.namespace}/${waypointPolicyName(waypoint)}`;
}

/** Lets a waypoint's own identity in, for workloads whose other policies name only their clients. */
function allowWaypoint(waypoint: Waypoint, trustDomain: string): Policy {
  const { principal } = new Identity(trustDomain, waypoint.namespace, waypoint.serviceAccount);
  return {
    key: waypointPolicyKey(waypoint),
    namespace: waypoint.namespace,
    name: waypointPolicyName(waypoint),
    scope: 'selector',
    action: 'allow',
    dryRun: false,
    rules: [
      {
        clauses: [
          { matches: [{ ...EMPTY_MATCH, principals: { any: [{ kind: 'exact', value: principal }], none: [] } }] },
        ],
      },
    ],
  };
}
