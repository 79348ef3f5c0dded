// SPDX-License-Identifier: Apache-2.0
//
// BackendTLSPolicies: the TLS of the services they are for, what their authors are told, and the ConfigMaps that must be
// read for that.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_UPSTREAM, type TrafficPolicy, type Upstream, upstreamOf } from '#lib/mesh/http/traffic-policy.ts';
import { annotation } from '../object/object.ts';
import {
  authorityKeys,
  type BackendTlsPolicy,
  type ConvertedBackendTls,
  convertBackendTls,
  winnerFor,
} from '../route/backend-tls.ts';
import type { ConditionValue, Reference, RouteService } from '../route/context.ts';
import type { NamedData, NamedRef } from './named-data.ts';
import { notAccepted, type PolicyStatus, policyStatus } from './policy-ancestors.ts';
import type { Senders } from './senders.ts';

const IGNORED = 'istio.io/ignore-policy-attachment';

export interface BackendTlsSources {
  readonly policies: Collection<BackendTlsPolicy>;
  /** A Service or ServiceEntry as routes see it. */
  readonly serviceOf: (reference: Reference, fetch: Fetch) => RouteService | undefined;
  readonly namedData: Collection<NamedData>;
}

export class BackendTls {
  readonly #byService: Index<ConvertedBackendTls>;
  readonly #converted: Collection<ConvertedBackendTls>;
  readonly wanted: Collection<NamedRef>;

  constructor(graph: Graph, { namedData, policies, serviceOf }: BackendTlsSources) {
    const heeded = graph.map('backend tls policies that are heeded', policies, (policy) =>
      annotation(policy, IGNORED) === 'true' ? undefined : policy,
    );
    this.#converted = graph.map('converted backend tls policies', heeded, (policy, _key, fetch) =>
      convertBackendTls(policy, {
        service: (reference) => serviceOf(reference, fetch),
        authorities: (key) => fetch.get(namedData, `ConfigMap ${key}`)?.['ca.crt'],
      }),
    );
    this.#byService = graph.index('backend tls policies by service', this.#converted, ({ targets }) => [
      ...new Set(targets.flatMap(({ service }) => (service === undefined ? [] : [service]))),
    ]);
    this.wanted = graph.flatMap('authorities to read', heeded, (policy) =>
      authorityKeys(policy).map((key): [string, NamedRef] => [`ConfigMap ${key}`, { kind: 'ConfigMap', key }]),
    );
  }

  /** `policy` with the TLS of the policies for its service, where it says nothing of TLS itself. */
  applyTo(policy: TrafficPolicy | undefined, service: string, fetch: Fetch): TrafficPolicy | undefined {
    const found = fetch.lookup(this.#byService, service);
    if (found.length === 0) return policy;
    const ports = found
      .flatMap(({ targets }) => targets.filter((one) => one.service === service))
      .map(({ port }) => port);
    const winners = new Map(
      [...new Set(ports)].flatMap((port): [number, ConvertedBackendTls][] => {
        const winner = winnerFor(found, service, port);
        return winner === undefined ? [] : [[port, winner]];
      }),
    );
    const base: TrafficPolicy = policy ?? { name: service, origin: '', subsets: [], upstreams: [] };
    const names = [...new Set([...winners.values()].map(({ key }) => `BackendTLSPolicy ${key}`))].join(', ');
    return {
      ...base,
      origin: base.origin === '' ? names : `${base.origin}, ${names}`,
      upstreams: spread(base, [...winners.keys()]).map((one): Upstream => {
        const winner = winners.get(one.port) ?? winners.get(0);
        return one.tls !== undefined || winner === undefined ? one : { ...one, tls: winner.tls };
      }),
    };
  }

  statuses(graph: Graph, senders: Senders): Collection<PolicyStatus> {
    return graph.map('backend tls policy statuses', this.#converted, (one, _key, fetch): PolicyStatus => {
      const targets = one.targets.map(({ port, ref, service }) => {
        return { ref, service, conditions: this.#conditionsAt(one, service, port, fetch) };
      });
      return policyStatus(one, targets, senders, fetch);
    });
  }

  #conditionsAt(
    one: ConvertedBackendTls,
    service: string | undefined,
    port: number,
    fetch: Fetch,
  ): readonly ConditionValue[] {
    const refused = (reason: string, message: string) => notAccepted(one.conditions, reason, message);
    if (service === undefined) return refused('TargetNotFound', 'there is no such target, or no port of that name');
    const winner = winnerFor(fetch.lookup(this.#byService, service), service, port);
    if (winner === undefined || winner.key === one.key) return one.conditions;
    return refused('Conflicted', `BackendTLSPolicy ${winner.key} is older and for the same target`);
  }
}

/** Settings for each of `ports`, with every subset, so that what is said of a port reaches all of them. */
function spread(policy: TrafficPolicy, ports: readonly number[]): readonly Upstream[] {
  const upstreams = [...policy.upstreams];
  const has = (subset: string, port: number): boolean =>
    upstreams.some((one) => one.subset === subset && one.port === port);
  if (!has('', 0)) upstreams.push(DEFAULT_UPSTREAM);
  for (const port of ports) {
    for (const subset of ['', ...policy.subsets.map(({ name }) => name)]) {
      if (has(subset, port)) continue;
      const base = upstreamOf({ ...policy, upstreams }, subset, port) ?? DEFAULT_UPSTREAM;
      upstreams.push({ ...base, subset, port });
    }
  }
  return upstreams;
}
