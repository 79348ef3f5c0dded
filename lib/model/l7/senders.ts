// SPDX-License-Identifier: Apache-2.0
//
// Which waypoints send requests to a service: those it is bound to, and those whose routes lead there.

import type { Collection, Fetch, Index } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Backend, RouteTable } from '#lib/mesh/http/route-table.ts';
import type { WaypointsOfServices } from './scoped.ts';

export class Senders {
  readonly #fronts: WaypointsOfServices;
  readonly #leadingTo: Index<RouteTable>;

  constructor(graph: Graph, tables: Collection<RouteTable>, fronts: WaypointsOfServices) {
    this.#fronts = fronts;
    this.#leadingTo = graph.index('route tables by destination', tables, destinationsOf);
  }

  /** Keys of Gateways. @param service its key */
  to(service: string, fetch: Fetch): readonly string[] {
    const routed = fetch
      .lookup(this.#leadingTo, service)
      .flatMap(({ name }) => this.#fronts.of(serviceOfTable(name), fetch));
    return [...new Set([...this.#fronts.of(service, fetch), ...routed])];
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
