// SPDX-License-Identifier: Apache-2.0
// Endpoints and EndpointSlices of every Service with a selector, both address families. A slice is named after what it
// groups, so a restart finds its own again.
import { createHash } from 'node:crypto';
import { equal, type JsonObject, type KubeObject, textAt } from '../api/json.ts';
import { keyOf } from './cache.ts';
import { type SliceModel, selects, selectsPod, slicesOf, subsetsOf } from './endpoint-model.ts';
import { type AnyKind, SERVICE } from './kinds.ts';
import { ownedBy } from './pods.ts';
import type { Controller, World } from './world.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';
const ZONE = 'topology.kubernetes.io/zone';

export function endpointsController(world: World): Controller {
  const queue = world.queue('endpoints', reconcile, 4);
  world.services.listen((service) => queue.add(keyOf(service)));
  world.pods.listen((pod, old) => {
    for (const service of world.services.values())
      if (selectsPod(service, pod) || (old && selectsPod(service, old))) queue.add(keyOf(service));
  });
  // Whoever deletes or edits a slice of ours gets it back.
  world.endpointSlices.listen((slice) => {
    const name = slice.metadata.labels?.[MANAGED_BY] === MANAGER ? slice.metadata.labels[SERVICE_NAME] : undefined;
    if (name) queue.add(`${slice.metadata.namespace}/${name}`);
  });

  async function reconcile(key: string): Promise<void> {
    const service = world.services.get(key);
    const [namespace, name] = key.split('/') as [string, string];
    const present = world.endpointSlices
      .values()
      .filter(
        (slice) =>
          slice.metadata.namespace === namespace &&
          slice.metadata.labels?.[SERVICE_NAME] === name &&
          slice.metadata.labels[MANAGED_BY] === MANAGER &&
          !slice.metadata.deletionTimestamp,
      );
    if (!service || !selects(service) || service.metadata.deletionTimestamp) {
      for (const slice of present) await world.endpointSlices.delete(slice);
      const old = world.endpoints.get(key);
      if (!service && old) await world.endpoints.delete(old);
      return;
    }
    const zoneOf = (node: string | undefined): string | undefined =>
      world.nodes.get(node ?? '')?.metadata.labels?.[ZONE];
    const models = slicesOf(service, world.pods.values(), zoneOf);
    const wanted = new Set<string>();
    for (const model of models) wanted.add(await writeSlice(service, model, present));
    for (const slice of present) if (!wanted.has(slice.metadata.name ?? '')) await world.endpointSlices.delete(slice);
    await writeEndpoints(service, models);
  }

  async function writeSlice(service: KubeObject, model: SliceModel, present: readonly KubeObject[]): Promise<string> {
    const name = `${service.metadata.name}-${suffix(model)}`;
    const content: JsonObject = { addressType: model.family, endpoints: [...model.endpoints], ports: [...model.ports] };
    const labels = {
      ...service.metadata.labels,
      [SERVICE_NAME]: service.metadata.name ?? '',
      [MANAGED_BY]: MANAGER,
      ...(textAt(service, 'spec', 'clusterIP') === 'None' ? { 'service.kubernetes.io/headless': '' } : {}),
    };
    const old = present.find((slice) => slice.metadata.name === name);
    if (!old) {
      const metadata = {
        name,
        namespace: service.metadata.namespace ?? '',
        labels,
        ownerReferences: [ownedBy(SERVICE as AnyKind, service)],
      };
      await world.endpointSlices.create({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata,
        ...content,
      });
    } else if (
      !equal(old['endpoints'], content['endpoints']) ||
      !equal(old['ports'], content['ports']) ||
      !equal(old.metadata.labels, labels)
    ) {
      await world.endpointSlices.update({ ...old, ...content, metadata: { ...old.metadata, labels } });
    }
    return name;
  }

  async function writeEndpoints(service: KubeObject, models: readonly SliceModel[]): Promise<void> {
    const subsets = subsetsOf(service, models);
    const old = world.endpoints.get(keyOf(service));
    const { name = '', namespace = '', labels = {} } = service.metadata;
    if (!old)
      await world.endpoints.create({
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: { name, namespace, labels },
        ...(subsets.length > 0 ? { subsets } : {}),
      });
    else if (!equal(old['subsets'] ?? [], subsets)) await world.endpoints.update({ ...old, subsets });
  }

  return queue;
}

/** Five letters of what the slice groups: its family and ports. */
const suffix = (model: SliceModel): string =>
  createHash('sha256')
    .update(JSON.stringify([model.family, model.ports]))
    .digest('base64url')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 5);
