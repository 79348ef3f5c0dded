// SPDX-License-Identifier: Apache-2.0
//
// The mesh's extension providers as waypoints know them: a host becomes the service that has it. One whose host nobody
// has keeps no target, and whoever needs it is refused.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { BLANK_PROVIDER, type Provider } from '#lib/mesh/http/waypoint.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { EffectiveSettings, SettingsCollection } from '../inputs.ts';
import type { ExtensionProvider } from '../mesh-settings.ts';
import { resolveHost } from '../route/resolve-host.ts';
import { MESH_LOG } from '../telemetry/merge.ts';

interface ProviderSources {
  readonly settings: SettingsCollection;
  /** By `namespace/hostname`. */
  readonly services: Collection<Service>;
}

/** By name. */
export function createProviders(graph: Graph, { services, settings }: ProviderSources): Collection<Provider> {
  const byHostname = graph.index('services by hostname, for providers', services, ({ hostname }) => [hostname]);
  return graph.flatMap('extension providers', settings, (mesh, _key, fetch) =>
    withMeshLog(mesh).map(({ port, service, ...provider }): [string, Provider] => {
      const slash = service.indexOf('/');
      const [namespace, name] = [service.slice(0, Math.max(0, slash)), service.slice(slash + 1)];
      const host = resolveHost(name, namespace || mesh.rootNamespace, mesh.domain);
      const found = fetch.lookup(byHostname, host).find((one) => namespace === '' || one.namespace === namespace)?.key;
      const target = found === undefined ? undefined : { service: found, port, subset: '' };
      return [provider.name, { ...provider, target }];
    }),
  );
}

/** The mesh's own access log is a provider, too, unless somebody else has its name. */
function withMeshLog({ accessLog, extensionProviders }: EffectiveSettings): readonly ExtensionProvider[] {
  if (extensionProviders.some(({ name }) => name === MESH_LOG)) return extensionProviders;
  const { file, format, json, jsonFields } = accessLog;
  const path = file === '' ? '/dev/stdout' : file;
  const own = { ...BLANK_PROVIDER, name: MESH_LOG, kind: 'file-log' as const, path, format, json, jsonFields };
  return [...extensionProviders, { ...own, service: '', port: 0 }];
}
