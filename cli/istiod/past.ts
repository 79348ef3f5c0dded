// SPDX-License-Identifier: Apache-2.0
// The mesh under the configuration of another time: what istiod's log says was configured then, over the pods, nodes
// and statuses of now. So a connection that was refused yesterday can be asked about after the policy has gone.

import { Graph } from '#lib/collections/graph.ts';
import { AmbitError } from '#lib/kit/error.ts';
import {
  apiVersionOf,
  ENDPOINT_SLICE,
  GATEWAY,
  type Kind,
  NODE,
  POD,
  SERVICE_ACCOUNT,
  SERVICE_ENTRY,
} from '#lib/kube/kind.ts';
import type { GenericObject, KubeObject } from '#lib/kube/object.ts';
import type { NamedService } from '#lib/mesh/explain.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import type { MeshListing } from '#lib/mesh/view.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { createInputs, putObject } from '#lib/model/inputs.ts';
import { DEFAULT_SETTINGS, type MeshSettings } from '#lib/model/mesh-settings.ts';
import { createModel } from '#lib/model/model.ts';
import { keyOf } from '#lib/model/object/object.ts';
import type { Cluster } from '../cluster.ts';
import { askIstiod } from './target.ts';

/** What is not kept in the log: taken as it is now. */
const OF_NOW: readonly Kind<KubeObject>[] = [POD, NODE, ENDPOINT_SLICE, SERVICE_ACCOUNT];
/** Configuration whose status others read: addresses of waypoints, addresses given to hosts. */
const WITH_STATUS: readonly Kind<KubeObject>[] = [GATEWAY, SERVICE_ENTRY];

export interface PastMesh {
  readonly mesh: MapMesh;
  readonly settings: MeshSettings & { readonly network: string };
}

/** @param at wall-clock ms */
export async function meshAt(cluster: Cluster, at: number): Promise<PastMesh> {
  const configured = (await askIstiod(cluster, `/debug/history?at=${at}`)) as readonly KubeObject[];
  if (configured.length === 0) {
    throw new AmbitError('HISTORY', `istiod's log says nothing of ${new Date(at).toISOString()}`, {
      advice: 'its log begins with its start and is bounded: name a later time',
    });
  }
  const told = (await askIstiod(cluster, '/debug/mesh')) as Partial<PastMesh['settings']>;
  // Whatever revision of istiod was asked: all objects are looked at.
  const settings = { ...DEFAULT_SETTINGS, network: '', ...told, revision: '' };
  const now = (await Promise.all(OF_NOW.map((kind) => listOf(cluster, kind)))).flat();
  const statuses = new Map<string, unknown>();
  for (const kind of WITH_STATUS) {
    for (const object of await listOf(cluster, kind)) statuses.set(idOf(object), (object as GenericObject).status);
  }
  const withStatus = configured.map((object) => ({ ...object, status: statuses.get(idOf(object)) }));
  return { settings, mesh: meshOf([...withStatus, ...now], settings) };
}

/** The mesh that objects make. */
export function meshOf(objects: readonly KubeObject[], settings: MeshSettings): MapMesh {
  // What cannot be understood leaves no trace here, as it left none in the mesh.
  const graph = new Graph(() => undefined);
  const inputs = createInputs(graph, settings);
  const model = createModel(graph, inputs);
  graph.batch(() => {
    for (const object of objects) putObject(inputs, object);
  });
  const mesh = new MapMesh();
  for (const workload of model.workloads.values()) mesh.putWorkload(workload);
  for (const service of model.services.values()) mesh.putService(service);
  for (const policy of model.policies.values()) mesh.putPolicy(policy);
  return mesh;
}

/** Names as a pod's search domains complete them. */
export function resolveIn({ domain, network }: PastMesh['settings']) {
  return (mesh: MeshListing, client: Workload, name: string): NamedService | undefined => {
    const space = client.namespace;
    for (const suffix of ['', `.${space}.svc.${domain}`, `.svc.${domain}`, `.${domain}`]) {
      const service = mesh.serviceByHostname(`${name}${suffix}`.toLowerCase(), space);
      const vip = service?.vips.find((one) => one.range.host && one.network === network);
      if (service !== undefined && vip !== undefined) return { ip: vip.range.base, service: service.key };
    }
    return undefined;
  };
}

async function listOf(cluster: Cluster, kind: Kind<KubeObject>): Promise<KubeObject[]> {
  // A list's items do not say what they are.
  const items = await cluster.list(kind);
  return items.map((object) => ({ ...object, apiVersion: apiVersionOf(kind), kind: kind.kind }));
}

function idOf(object: KubeObject): string {
  return `${object.kind} ${keyOf(object)}`;
}
