// SPDX-License-Identifier: Apache-2.0
// A waypoint's `/config_dump`, as far as the tables read it: the mesh in a node proxy's shapes, layer-7 values as they
// are.

import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import type { RequestAuthentication } from '#lib/mesh/http/request-authentication.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import type { Dump } from '../ztunnel/dump.ts';

export interface ServicePorts {
  readonly ports?: Readonly<Record<string, number>>;
  readonly endpoints?: Readonly<
    Record<
      string,
      { readonly workloadUid?: string; readonly port?: Readonly<Record<string, number>>; readonly status?: string }
    >
  >;
}

export interface WaypointDump extends Omit<Dump, 'services'> {
  readonly services?: readonly (NonNullable<Dump['services']>[number] & ServicePorts)[];
  readonly RouteTable?: readonly RouteTable[];
  readonly TrafficPolicy?: readonly TrafficPolicy[];
  readonly AccessPolicy?: readonly AccessPolicy[];
  readonly RequestAuthentication?: readonly RequestAuthentication[];
  readonly Waypoint?: readonly WaypointSettings[];
  readonly listening?: Readonly<Record<string, number>>;
}

export type WaypointService = NonNullable<WaypointDump['services']>[number];

/** `namespace/hostname`. */
export function keyOfService({ hostname = '', namespace = '' }: WaypointService): string {
  return `${namespace}/${hostname}`;
}

/** Services that this waypoint stands before: a dump has all of the mesh. */
export function ownServices(dump: WaypointDump): readonly WaypointService[] {
  const [namespace = '', name = ''] = (dump.Waypoint?.[0]?.name ?? '').split('/');
  return (dump.services ?? []).filter(({ waypoint }) =>
    (waypoint?.destination ?? '').startsWith(`${namespace}/${name}.${namespace}.`),
  );
}
