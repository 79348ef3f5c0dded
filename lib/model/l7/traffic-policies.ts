// SPDX-License-Identifier: Apache-2.0
//
// DestinationRules as traffic policies, for each service that a waypoint sends to, as that waypoint sees it: rules of
// the waypoint's namespace come before those of the service's, and those before the root namespace's. Nothing is
// computed of services that no waypoint sends to, and labels are told of workloads where subsets ask for them.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { SettingsCollection } from '../inputs.ts';
import { byAge, labelsOf, namespaceOf, type Pod } from '../object/object.ts';
import { itemsForHost } from '../route/by-host.ts';
import { convertDestinationRules, type DestinationRuleContext, destinationHost } from '../route/destination-rule.ts';
import type { DestinationRule, TlsSpec } from '../route/destination-rule-spec.ts';
import { settingsIn } from '../scope.ts';
import type { BackendTls } from './backend-tls.ts';
import type { BackendTraffic } from './backend-traffic.ts';
import { credentialOf, credentialRefs, type NamedData, type NamedRef } from './named-data.ts';
import { TRAFFIC_POLICY, WORKLOAD_LABELS } from './resource.ts';
import { type ScopedResource, type ScopedType, scopedValues } from './scoped.ts';
import type { Senders } from './senders.ts';

export interface TrafficSources {
  readonly settings: SettingsCollection;
  /** By `namespace/hostname`. */
  readonly services: Collection<Service>;
  readonly destinationRules: Collection<DestinationRule>;
  readonly pods: Collection<Pod>;
  /** Pods' workloads by the keys of their services. */
  readonly members: Index<Workload>;
  readonly senders: Senders;
  readonly backendTls: BackendTls;
  readonly backendTraffic: BackendTraffic;
  /** By `Kind namespace/name`. */
  readonly namedData: Collection<NamedData>;
}

/** By Gateway. */
type PoliciesOfService = ReadonlyMap<string, TrafficPolicy>;

/** The types TrafficPolicy and WorkloadLabels. */
export function createTraffic(graph: Graph, sources: TrafficSources): readonly ScopedType[] {
  const { backendTls, backendTraffic, members, namedData, pods, senders, services, settings } = sources;
  const rulesFor = createRules(graph, sources);
  const policies = graph.map('traffic policies', services, (service, key, fetch): PoliciesOfService | undefined => {
    const gateways = senders.to(key, fetch);
    if (gateways.length === 0) return undefined;
    const { domain } = settingsIn(settings, fetch);
    const context: DestinationRuleContext = {
      domain,
      ...NOTHING_SAID,
      subjectAltNames: service.subjectAltNames,
      credential: (namespace, name) => {
        const [own, beside] = credentialRefs(namespace, name).map((ref) =>
          fetch.get(namedData, `${ref.kind} ${ref.key}`),
        );
        return credentialOf(own, beside);
      },
    };
    const found = gateways.flatMap((gateway): [string, TrafficPolicy][] => {
      const rules = rulesFor(service, gateway.slice(0, gateway.indexOf('/')), fetch);
      const said = rules.length === 0 ? undefined : convertDestinationRules(rules, key, context).policy;
      const policy = backendTraffic.applyTo(backendTls.applyTo(said, key, fetch), key, fetch);
      return policy === undefined ? [] : [[gateway, policy]];
    });
    return found.length === 0 ? undefined : new Map(found);
  });
  const labels = graph.flatMap(
    'WorkloadLabels of waypoints',
    policies,
    (of, key, fetch): [string, ScopedResource][] => {
      const divided = [...of].filter(([, { subsets }]) => subsets.length > 0);
      if (divided.length === 0) return [];
      return fetch.lookup(members, key).flatMap(({ name, namespace, uid }) => {
        const pod = fetch.get(pods, `${namespace}/${name}`);
        if (pod === undefined) return [];
        const resource = WORKLOAD_LABELS.encode({ name: uid, labels: labelsOf(pod) });
        return divided.map(([scope]): [string, ScopedResource] => [`${scope} ${uid}`, { scope, resource }]);
      });
    },
  );
  return [
    scopedValues(graph, TRAFFIC_POLICY, policies, (of) => of),
    { typeUrl: WORKLOAD_LABELS.typeUrl, resources: labels },
  ];
}

/** Secrets that DestinationRules name. */
export function wantedCredentials(graph: Graph, rules: Collection<DestinationRule>): Collection<NamedRef> {
  return graph.flatMap('credentials to read', rules, (rule) =>
    tlsSpecs(rule)
      .flatMap(({ credentialName = '' }) =>
        credentialName === '' ? [] : credentialRefs(namespaceOf(rule), credentialName),
      )
      .map((ref): [string, NamedRef] => [`${ref.kind} ${ref.key}`, ref]),
  );
}

function tlsSpecs({ spec }: DestinationRule): TlsSpec[] {
  const policies = [spec?.trafficPolicy, ...(spec?.subsets ?? []).map(({ trafficPolicy }) => trafficPolicy)];
  return policies
    .flatMap((policy) => [policy?.tls, ...(policy?.portLevelSettings ?? []).map(({ tls }) => tls)])
    .flatMap((tls) => (tls === undefined ? [] : [tls]));
}

/** Of the mesh, where rules say nothing. */
const NOTHING_SAID = {
  locality: {},
  connectionPool: undefined,
  outlierDetection: undefined,
};

function createRules(
  graph: Graph,
  { destinationRules, settings }: TrafficSources,
): (service: Service, client: string, fetch: Fetch) => readonly DestinationRule[] {
  const hosts = graph.map('hosts of destination rules', destinationRules, (rule, _key, fetch) => ({
    rule,
    host: destinationHost(rule, settingsIn(settings, fetch).domain),
  }));
  const byHost = graph.index('destination rules by host', hosts, ({ host }) => [host]);
  return ({ hostname, namespace }, client, fetch) => {
    const places = [client, namespace, settingsIn(settings, fetch).rootNamespace];
    const found = itemsForHost(byHost, hostname, fetch)
      .filter(({ rule }) => places.includes(namespaceOf(rule)) && isExported(rule, client))
      // Stable: within a namespace the most specific host stays first.
      .sort((x, y) => places.indexOf(namespaceOf(x.rule)) - places.indexOf(namespaceOf(y.rule)));
    const [first] = found;
    // Rules of one host and namespace add up; those of a farther namespace, or of a wider host, give way.
    return found
      .filter(({ host, rule }) => host === first?.host && namespaceOf(rule) === namespaceOf(first.rule))
      .map(({ rule }) => rule)
      .sort(byAge);
  };
}

function isExported(rule: DestinationRule, client: string): boolean {
  const { exportTo = [] } = rule.spec ?? {};
  if (exportTo.length === 0) return true;
  return exportTo.some((one) => one === '*' || one === client || (one === '.' && namespaceOf(rule) === client));
}
