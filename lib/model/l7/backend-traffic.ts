// SPDX-License-Identifier: Apache-2.0
//
// XBackendTrafficPolicies: the retry budgets of the services they are for, and what their authors are told. They count only where the
// mesh's settings have alpha kinds on.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_UPSTREAM, type TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { SettingsCollection } from '../inputs.ts';
import { byPrecedence } from '../route/backend-tls.ts';
import {
  type BackendTrafficPolicy,
  type ConvertedBackendTraffic,
  convertBackendTraffic,
} from '../route/backend-traffic.ts';
import type { Reference, RouteService } from '../route/context.ts';
import { settingsIn } from '../scope.ts';
import { notAccepted, type PolicyStatus, policyStatus } from './policy-ancestors.ts';
import type { Senders } from './senders.ts';

export interface BackendTrafficSources {
  readonly settings: SettingsCollection;
  readonly backendTrafficPolicies: Collection<BackendTrafficPolicy>;
  /** A Service or ServiceEntry as routes see it. */
  readonly serviceOf: (reference: Reference, fetch: Fetch) => RouteService | undefined;
}

export class BackendTraffic {
  readonly #converted: Collection<ConvertedBackendTraffic>;
  readonly #byService: Index<ConvertedBackendTraffic>;

  constructor(graph: Graph, { backendTrafficPolicies, serviceOf, settings }: BackendTrafficSources) {
    this.#converted = graph.map('converted backend traffic policies', backendTrafficPolicies, (policy, _key, fetch) =>
      settingsIn(settings, fetch).alphaGatewayApi
        ? convertBackendTraffic(policy, { service: (reference) => serviceOf(reference, fetch) })
        : undefined,
    );
    this.#byService = graph.index('backend traffic policies by service', this.#converted, ({ targets }) => [
      ...new Set(targets.flatMap(({ service }) => (service === undefined ? [] : [service]))),
    ]);
  }

  /** `policy` with the budget of the oldest policy for its service, where it says nothing of budgets itself. */
  applyTo(policy: TrafficPolicy | undefined, service: string, fetch: Fetch): TrafficPolicy | undefined {
    const winner = this.#winner(service, fetch);
    const budget = winner?.budget;
    if (winner === undefined || budget === undefined) return policy;
    const base = policy ?? { name: service, origin: '', subsets: [], upstreams: [] };
    const upstreams = base.upstreams.some(({ port, subset }) => subset === '' && port === 0)
      ? base.upstreams
      : [DEFAULT_UPSTREAM, ...base.upstreams];
    const name = `XBackendTrafficPolicy ${winner.key}`;
    return {
      ...base,
      origin: base.origin === '' ? name : `${base.origin}, ${name}`,
      upstreams: upstreams.map((one) => (one.retryBudget === undefined ? { ...one, retryBudget: budget } : one)),
    };
  }

  statuses(graph: Graph, senders: Senders): Collection<PolicyStatus> {
    return graph.map('backend traffic policy statuses', this.#converted, (one, _key, fetch) => {
      const targets = one.targets.map(({ ref, service }) => {
        const winner = service === undefined ? undefined : this.#winner(service, fetch);
        let { conditions } = one;
        if (service === undefined) conditions = notAccepted(conditions, 'TargetNotFound', 'there is no such target');
        else if (winner !== undefined && winner.key !== one.key) {
          const why = `XBackendTrafficPolicy ${winner.key} is older and for the same target`;
          conditions = notAccepted(conditions, 'Conflicted', why);
        }
        return { ref, service, conditions };
      });
      return policyStatus(one, targets, senders, fetch);
    });
  }

  #winner(service: string, fetch: Fetch): ConvertedBackendTraffic | undefined {
    return [...fetch.lookup(this.#byService, service)].sort(byPrecedence)[0];
  }
}
