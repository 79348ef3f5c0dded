// SPDX-License-Identifier: Apache-2.0
//
// Which waypoint an object's traffic passes. The request is a label on the object, else on its ServiceAccount (ours),
// else on its Namespace; the answer is the waypoint, nothing, or a reason why not that its author is told.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { WeightedWaypoint } from '#lib/mesh/gateway-address.ts';
import { WAYPOINT_MANAGERS } from '../gateway/classes.ts';
import * as names from '../object/names.ts';
import type { KubeObject, Namespace } from '../object/object.ts';
import { labelsOf } from '../object/object.ts';
import { selects } from '../object/selector.ts';
import type { Waypoint } from './gateway.ts';

export type BindingFailure =
  | 'WaypointIsNotReady'
  | 'AttachmentDenied'
  | 'UnsupportedTrafficType'
  | 'CanaryInvalidWeight'
  | 'CanarySameAsPrimary';

export interface WaypointBinding {
  /** undefined: no waypoint is asked for, or it cannot be had. */
  readonly waypoint: Waypoint | undefined;
  readonly weighted: readonly WeightedWaypoint[];
  readonly failure: { readonly reason: BindingFailure; readonly message: string; readonly field: string } | undefined;
}

export const UNBOUND: WaypointBinding = { waypoint: undefined, weighted: [], failure: undefined };

/** Who asks. Levels in order of precedence; the namespace is the last. */
export interface BindingRequest {
  readonly namespace: string;
  readonly object: KubeObject;
  readonly account: KubeObject | undefined;
  readonly traffic: 'service' | 'workload';
}

interface Request {
  readonly key: string;
  readonly level: KubeObject;
  readonly own: boolean;
}

/** The level that asks, and for what; undefined when none does or one opts out. */
function requestOf({ account, namespace, object }: BindingRequest, space: Namespace | undefined): Request | undefined {
  for (const level of [object, account, space]) {
    if (level === undefined) continue;
    const name = labelsOf(level)[names.USE_WAYPOINT];
    if (name === undefined || name === '') continue;
    if (name === 'none') return undefined;
    const within = labelsOf(level)[names.USE_WAYPOINT_NAMESPACE] ?? namespace;
    return { key: `${within}/${name}`, level, own: level !== space };
  }
  return undefined;
}

export function bindWaypoint(
  request: BindingRequest,
  waypoints: Collection<Waypoint>,
  namespaces: Collection<Namespace>,
  fetch: Fetch,
): WaypointBinding {
  const space = fetch.get(namespaces, request.namespace);
  const managed = labelsOf(request.object)[names.GATEWAY_MANAGED];
  if (managed !== undefined && WAYPOINT_MANAGERS.has(managed)) return UNBOUND;
  const asked = requestOf(request, space);
  if (asked === undefined) return UNBOUND;
  const field = `metadata.labels[${names.USE_WAYPOINT}]`;
  const found = usable(asked.key, request, space, waypoints, fetch);
  if (typeof found === 'string') {
    return { ...UNBOUND, failure: { ...failureText(found, asked.key, request), field } };
  }
  if (found.traffic !== 'all' && found.traffic !== request.traffic) {
    // A namespace's label is for whatever the waypoint serves; only an object's own is a mistake.
    if (!asked.own) return UNBOUND;
    return { ...UNBOUND, failure: { ...failureText('UnsupportedTrafficType', asked.key, request), field } };
  }
  return withCanary(found, asked, request, space, waypoints, fetch);
}

function usable(
  key: string,
  request: BindingRequest,
  space: Namespace | undefined,
  waypoints: Collection<Waypoint>,
  fetch: Fetch,
): Waypoint | 'WaypointIsNotReady' | 'AttachmentDenied' {
  const waypoint = fetch.get(waypoints, key);
  if (waypoint?.address === undefined) return 'WaypointIsNotReady';
  if (waypoint.namespace === request.namespace) return waypoint;
  const { admits } = waypoint;
  const admitted =
    admits.from === 'all' ||
    (admits.from === 'selector' && space !== undefined && selects(admits.labels, labelsOf(space)));
  return admitted ? waypoint : 'AttachmentDenied';
}

function failureText(
  reason: BindingFailure,
  key: string,
  request: BindingRequest,
): { readonly reason: BindingFailure; readonly message: string } {
  switch (reason) {
    case 'WaypointIsNotReady':
      return { reason, message: `waypoint ${key} does not exist or has no address yet` };
    case 'AttachmentDenied':
      return { reason, message: `waypoint ${key} does not admit objects of namespace ${request.namespace}` };
    case 'UnsupportedTrafficType':
      return { reason, message: `waypoint ${key} does not take ${request.traffic} traffic` };
    case 'CanaryInvalidWeight':
      return { reason, message: `the weight of canary waypoint ${key} is no number from 0 to 100` };
    case 'CanarySameAsPrimary':
      return { reason, message: `canary waypoint ${key} is the primary one` };
  }
}

/** A second waypoint that takes a share. A bad one leaves the primary in place. */
function withCanary(
  primary: Waypoint,
  asked: Request,
  request: BindingRequest,
  space: Namespace | undefined,
  waypoints: Collection<Waypoint>,
  fetch: Fetch,
): WaypointBinding {
  const bound: WaypointBinding = { waypoint: primary, weighted: [], failure: undefined };
  const { annotations } = asked.level.metadata;
  const name = labelsOf(asked.level)[names.USE_WAYPOINT_CANARY];
  if (name === undefined || name === '' || request.traffic !== 'service') return bound;
  const key = `${labelsOf(asked.level)[names.USE_WAYPOINT_CANARY_NAMESPACE] ?? request.namespace}/${name}`;
  const refuse = (reason: BindingFailure, field: string): WaypointBinding => ({
    ...bound,
    failure: { ...failureText(reason, key, request), field },
  });
  const text = annotations?.[names.USE_WAYPOINT_CANARY_WEIGHT] ?? '0';
  const weight = /^\d{1,3}$/.test(text) ? Number(text) : 101;
  if (weight > 100) return refuse('CanaryInvalidWeight', `metadata.annotations[${names.USE_WAYPOINT_CANARY_WEIGHT}]`);
  const field = `metadata.labels[${names.USE_WAYPOINT_CANARY}]`;
  if (key === primary.key) return refuse('CanarySameAsPrimary', field);
  const canary = usable(key, request, space, waypoints, fetch);
  if (typeof canary === 'string') return refuse(canary, field);
  const share = (waypoint: Waypoint, of: number): WeightedWaypoint[] =>
    waypoint.address === undefined ? [] : [{ address: waypoint.address, weight: of }];
  return { ...bound, weighted: [...share(primary, 100 - weight), ...share(canary, weight)] };
}
