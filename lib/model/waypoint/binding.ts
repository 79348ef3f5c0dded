// SPDX-License-Identifier: Apache-2.0
//
// Which waypoint an object's traffic passes. The request is a label on the object, else on its ServiceAccount (ours),
// else on its Namespace; the answer is the waypoint, nothing, or a reason why not that its author is told.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { WeightedWaypoint } from '#lib/mesh/gateway-address.ts';
import { WAYPOINT_MANAGERS } from '../gateway/classes.ts';
import { selectorMatches } from '../object/label-selector.ts';
import * as names from '../object/names.ts';
import { type KubeObject, keyBeside, labelsOf, type Namespace, namespaceOf, spaceOf } from '../object/object.ts';
import type { Labels } from '../object/selector.ts';
import type { Waypoint } from './gateway.ts';

export type BindingFailure =
  | 'WaypointIsNotReady'
  | 'AttachmentDenied'
  | 'UnsupportedTrafficType'
  | 'CrossNamespaceWaypointForbidden'
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
  readonly object: KubeObject;
  /** The labels that ask, when they are not the object's own, as of an endpoint in a ServiceEntry. */
  readonly labels?: Labels;
  readonly account: KubeObject | undefined;
  readonly traffic: 'service' | 'workload';
  /** Seen by its own namespace only, so that only its own waypoint may see it. */
  readonly confined?: boolean;
}

interface Asked {
  /** Key of the waypoint. */
  readonly key: string;
  readonly level: { readonly labels: Labels; readonly annotations: Labels };
  readonly own: boolean;
}

/** The level that asks, and for what; undefined when none does or one opts out. */
function requestOf({ account, labels, object }: BindingRequest, space: Namespace | undefined): Asked | undefined {
  for (const level of [object, account, space]) {
    if (level === undefined) continue;
    const own = level === object ? (labels ?? labelsOf(level)) : labelsOf(level);
    const name = own[names.USE_WAYPOINT];
    if (name === undefined || name === '') continue;
    if (name === 'none') return undefined;
    const within = own[names.USE_WAYPOINT_NAMESPACE] ?? namespaceOf(object);
    const annotations = level.metadata.annotations ?? {};
    return { key: keyBeside(object, `${within}/${name}`), level: { labels: own, annotations }, own: level === object };
  }
  return undefined;
}

export function bindWaypoint(
  request: BindingRequest,
  waypoints: Collection<Waypoint>,
  namespaces: Collection<Namespace>,
  fetch: Fetch,
): WaypointBinding {
  const space = fetch.get(namespaces, spaceOf(request.object));
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
    // An account's or a namespace's label is for whatever the waypoint serves; only an object's own is a mistake.
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
): Waypoint | 'WaypointIsNotReady' | 'AttachmentDenied' | 'CrossNamespaceWaypointForbidden' {
  const waypoint = fetch.get(waypoints, key);
  if (waypoint?.address === undefined) return 'WaypointIsNotReady';
  if (waypoint.namespace === namespaceOf(request.object)) return waypoint;
  const { admits } = waypoint;
  const admitted =
    admits.from === 'all' ||
    (admits.from === 'selector' && space !== undefined && selectorMatches(admits.selector, labelsOf(space)));
  if (!admitted) return 'AttachmentDenied';
  return request.confined === true ? 'CrossNamespaceWaypointForbidden' : waypoint;
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
      return { reason, message: `waypoint ${key} does not admit objects of namespace ${namespaceOf(request.object)}` };
    case 'CrossNamespaceWaypointForbidden':
      return {
        reason,
        message: `waypoint ${key} is of another namespace, and the service is seen by its own namespace only`,
      };
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
  asked: Asked,
  request: BindingRequest,
  space: Namespace | undefined,
  waypoints: Collection<Waypoint>,
  fetch: Fetch,
): WaypointBinding {
  const bound: WaypointBinding = { waypoint: primary, weighted: [], failure: undefined };
  const { annotations, labels } = asked.level;
  const name = labels[names.USE_WAYPOINT_CANARY];
  if (name === undefined || name === '' || request.traffic !== 'service') return bound;
  const within = labels[names.USE_WAYPOINT_CANARY_NAMESPACE] ?? namespaceOf(request.object);
  const key = keyBeside(request.object, `${within}/${name}`);
  const refuse = (reason: BindingFailure, field: string): WaypointBinding => ({
    ...bound,
    failure: { ...failureText(reason, key, request), field },
  });
  const text = annotations[names.USE_WAYPOINT_CANARY_WEIGHT] ?? '0';
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
