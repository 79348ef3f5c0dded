// SPDX-License-Identifier: Apache-2.0
// What every cluster holds from its first second: system namespaces, default roles, priority classes, and the
// `kubernetes` Service that leads to this server.
import { isIP } from 'node:net';
import { BOOTSTRAP_BINDINGS, BOOTSTRAP_ROLES } from './auth/bootstrap-roles.ts';
import { MASTERS } from './auth/user.ts';
import type { JsonObject, KubeObject } from './json.ts';
import type { Catalog } from './kinds/catalog.ts';
import type { Target } from './registry/target.ts';
import type { Writer } from './registry/write.ts';
import type { Store } from './store/store.ts';

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const OPTIONS = { dryRun: false, manager: 'ambit-api', force: true, fieldValidation: 'Strict' } as const;
const PRIORITIES: readonly (readonly [name: string, value: number])[] = [
  ['system-node-critical', 2_000_001_000],
  ['system-cluster-critical', 2_000_000_000],
];

export interface BootstrapParts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly writer: Writer;
}

export async function bootstrap(
  { store, catalog, writer }: BootstrapParts,
  advertise: { host: string; port: number },
  serviceAddress: string,
): Promise<void> {
  const write = async (object: KubeObject, replace = false): Promise<void> => {
    const [group, version] = object.apiVersion.includes('/')
      ? (object.apiVersion.split('/') as [string, string])
      : (['', object.apiVersion] as const);
    const resource = catalog.byKind(group, object.kind)!;
    const target: Target = {
      resource,
      version: resource.versions.get(version)!,
      namespace: object.metadata.namespace ?? '',
      name: object.metadata.name ?? '',
      subresource: '',
      user: { name: 'system:apiserver', groups: [MASTERS] },
    };
    const exists = store.collection(resource.storage).get(target.namespace, target.name);
    if (!exists) await writer.create(target, object as JsonObject, OPTIONS);
    else if (replace) await writer.update(target, object as JsonObject, OPTIONS);
  };
  for (const name of NAMESPACES) await write({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const object of [...BOOTSTRAP_ROLES, ...BOOTSTRAP_BINDINGS]) await write(structuredClone(object));
  for (const [name, value] of PRIORITIES)
    await write({
      apiVersion: 'scheduling.k8s.io/v1',
      kind: 'PriorityClass',
      metadata: { name },
      value,
      description: 'System pods.',
    });
  await write({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      clusterIP: serviceAddress,
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: advertise.port }],
    },
  });
  const labels = { 'kubernetes.io/service-name': 'kubernetes' };
  await write(
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'kubernetes', namespace: 'default', labels },
      addressType: isIP(advertise.host) === 6 ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [advertise.host], conditions: { ready: true } }],
      ports: [{ name: 'https', port: advertise.port, protocol: 'TCP' }],
    },
    true,
  );
  await write(
    {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: {
        name: 'kubernetes',
        namespace: 'default',
        labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      },
      subsets: [
        { addresses: [{ ip: advertise.host }], ports: [{ name: 'https', port: advertise.port, protocol: 'TCP' }] },
      ],
    },
    true,
  );
}
