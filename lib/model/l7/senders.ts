// SPDX-License-Identifier: Apache-2.0
//
// Which waypoints send requests to a service: those it is bound to, those whose routes lead there, and all of them where it
// is an extension provider's.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Backend, RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { OwnGateway } from '../gateway/gateways.ts';
import type { WaypointsOfServices } from './scoped.ts';

interface SenderSources {
  readonly tables: Collection<RouteTable>;
  readonly fronts: WaypointsOfServices;
  readonly providers: Collection<Provider>;
  /** By key. */
  readonly ownGateways: Collection<OwnGateway>;
}

export class Senders {
  readonly #fronts: WaypointsOfServices;
  readonly #leadingTo: Index<RouteTable>;
  readonly #asking: Index<Provider>;
  readonly #ownGateways: Collection<OwnGateway>;

  constructor(graph: Graph, { fronts, ownGateways, providers, tables }: SenderSources) {
    this.#fronts = fronts;
    this.#ownGateways = ownGateways;
    this.#asking = graph.index('extension providers by service', providers, ({ target }) =>
      target === undefined ? [] : [target.service],
    );
    this.#leadingTo = graph.index('route tables by destination', tables, destinationsOf);
  }

  /** Keys of Gateways. @param service its key */
  to(service: string, fetch: Fetch): readonly string[] {
    const routed = fetch
      .lookup(this.#leadingTo, service)
      .flatMap(({ name }) => this.#fronts.of(serviceOfTable(name), fetch));
    const asking = fetch.lookup(this.#asking, service).length === 0 ? [] : fetch.all(this.#ownGateways).keys();
    return [...new Set([...this.#fronts.of(service, fetch), ...routed, ...asking])];
  }
}

/** `namespace/hostname:port` without the port. */
export function serviceOfTable(name: string): string {
  return name.slice(0, name.lastIndexOf(':'));
}

/** Keys of all services that requests or streams of the table may go to. */
function destinationsOf({ http, tcp, tls }: RouteTable): Set<string> {
  const mirrored = (backend: Backend): (Backend | undefined)[] => [
    backend,
    ...backend.mirrors.map((mirror) => mirror.backend),
  ];
  const backends = [
    ...http.flatMap(({ rules }) =>
      rules.flatMap((rule) => [...rule.backends, ...rule.mirrors.map((one) => one.backend)]),
    ),
    ...[...tls, ...tcp].flatMap((one) => one.backends),
  ];
  const all = backends.flatMap((backend) => (backend === undefined ? [] : mirrored(backend)));
  return new Set(all.flatMap((backend) => (backend?.target === undefined ? [] : [backend.target.service])));
}
