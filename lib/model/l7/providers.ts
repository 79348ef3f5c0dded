// SPDX-License-Identifier: Apache-2.0
//
// The mesh's extension providers as waypoints know them: a host becomes the service that has it. One whose host nobody
// has keeps no target, and whoever needs it is refused.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { SettingsCollection } from '../inputs.ts';
import { resolveHost } from '../route/resolve-host.ts';

interface ProviderSources {
  readonly settings: SettingsCollection;
  /** By `namespace/hostname`. */
  readonly services: Collection<Service>;
}

/** By name. */
export function createProviders(graph: Graph, { services, settings }: ProviderSources): Collection<Provider> {
  const byHostname = graph.index('services by hostname, for providers', services, ({ hostname }) => [hostname]);
  return graph.flatMap('extension providers', settings, (mesh, _key, fetch) =>
    mesh.extensionProviders.map(({ port, service, ...provider }): [string, Provider] => {
      const slash = service.indexOf('/');
      const [namespace, name] = [service.slice(0, Math.max(0, slash)), service.slice(slash + 1)];
      const host = resolveHost(name, namespace || mesh.rootNamespace, mesh.domain);
      const found = fetch.lookup(byHostname, host).find((one) => namespace === '' || one.namespace === namespace)?.key;
      const target = found === undefined ? undefined : { service: found, port, subset: '' };
      return [provider.name, { ...provider, target }];
    }),
  );
}
