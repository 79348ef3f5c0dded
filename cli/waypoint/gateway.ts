// SPDX-License-Identifier: Apache-2.0
// Waypoints as objects: the Gateway that asks for one, and what its status says.

import type { Condition, GenericObject } from '#lib/kube/object.ts';

export const TRAFFIC_TYPES = ['service', 'workload', 'all', 'none'] as const;
export type TrafficType = (typeof TRAFFIC_TYPES)[number];

export const WAYPOINT_FOR = 'istio.io/waypoint-for';
export const REVISION = 'istio.io/rev';
export const USE_WAYPOINT = 'istio.io/use-waypoint';
export const DATAPLANE_MODE = 'istio.io/dataplane-mode';
/** Classes whose Gateways are waypoints. */
export const WAYPOINT_CLASSES = ['istio-waypoint', 'ambit-waypoint'] as const;

export interface WaypointWish {
  readonly namespace: string;
  readonly name: string;
  readonly for?: TrafficType | undefined;
  readonly revision?: string | undefined;
  readonly class?: (typeof WAYPOINT_CLASSES)[number];
}

/** The Gateway to apply. */
export function waypointGateway({
  class: gatewayClassName = 'istio-waypoint',
  for: traffic,
  name,
  namespace,
  revision,
}: WaypointWish): GenericObject {
  const labels = {
    ...(traffic === undefined ? {} : { [WAYPOINT_FOR]: traffic }),
    ...(revision === undefined ? {} : { [REVISION]: revision }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace, ...(Object.keys(labels).length === 0 ? {} : { labels }) },
    spec: {
      gatewayClassName,
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
    },
  };
}

export function isWaypoint({ spec }: GenericObject): boolean {
  return WAYPOINT_CLASSES.some((name) => name === spec?.['gatewayClassName']);
}

export function isOfRevision(gateway: GenericObject, revision: string | undefined): boolean {
  return revision === undefined || (gateway.metadata.labels?.[REVISION] ?? 'default') === revision;
}

/** The condition of this type, as it holds for what the Gateway asks now; an older one tells of an older wish. */
export function conditionOf(gateway: GenericObject, type: string): Condition | undefined {
  const conditions = (gateway.status?.['conditions'] ?? []) as readonly Condition[];
  const found = conditions.find((condition) => condition.type === type);
  const { generation } = gateway.metadata;
  return generation !== undefined && Number(found?.observedGeneration ?? generation) < generation ? undefined : found;
}

export function isProgrammed(gateway: GenericObject | undefined): boolean {
  return gateway !== undefined && conditionOf(gateway, 'Programmed')?.status === 'True';
}

export function byName(a: GenericObject, b: GenericObject): number {
  const [x, y] = [a, b].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`) as [string, string];
  return x < y ? -1 : 1;
}
