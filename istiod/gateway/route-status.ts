// SPDX-License-Identifier: Apache-2.0
// Statuses of routes: one list for all controllers, of which only our entries are touched. Pure, but for the wiring.

import { isDeepStrictEqual } from 'node:util';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import { objectKey } from '#lib/kube/object.ts';
import type { RouteStatus } from '#lib/model/route/routes.ts';
import type { ParentRef } from '#lib/model/route/spec.ts';
import type { ObjectStatusWriter, Status, StatusTarget } from '../status/object-status.ts';
import type { Informers } from '../watch/informers.ts';
import type { MeshModel } from '../watch/mesh-model.ts';
import { mergeConditions, sameStatus } from './next-status.ts';

interface ParentEntry {
  readonly parentRef?: ParentRef;
  readonly controllerName?: string;
  readonly conditions?: readonly Condition[];
}

/** Name by which routes' statuses know this controller. @param ownOnly beside an Istio, which has the other name */
export function routeController(ownOnly: boolean): string {
  return ownOnly ? 'ambit.dev/gateway-controller' : 'istio.io/gateway-controller';
}

export function nextRouteStatus(
  object: GenericObject,
  wanted: RouteStatus | undefined,
  controllerName: string,
  now: number,
): Status | undefined {
  const existing = (object.status?.['parents'] ?? []) as readonly ParentEntry[];
  const others = existing.filter((entry) => entry.controllerName !== controllerName);
  const own = (wanted?.parents ?? []).map(({ conditions, ref }) => {
    const known = existing.find(
      (entry) => entry.controllerName === controllerName && isDeepStrictEqual(entry.parentRef, ref),
    );
    const values = conditions.map((one) => ({ ...one, status: one.status ? ('True' as const) : ('False' as const) }));
    const types = new Set(values.map(({ type }) => type));
    // What we no longer say is no longer there.
    const kept = (known?.conditions ?? []).filter(({ type }) => types.has(type));
    return {
      parentRef: ref,
      controllerName,
      conditions: mergeConditions(kept, values, object.metadata.generation, now),
    };
  });
  const status = { ...object.status, parents: [...others, ...own] };
  return sameStatus(status, object.status) ? undefined : status;
}

export function routeTargets(
  informers: Informers,
  mesh: MeshModel,
  ownOnly: boolean,
): Readonly<Record<string, StatusTarget>> {
  const { routeStatuses } = mesh.model;
  const controller = routeController(ownOnly);
  const target = (kind: string, informer: StatusTarget['informer']): StatusTarget => ({
    informer,
    next: (object, now) => nextRouteStatus(object, routeStatuses.get(`${kind} ${objectKey(object)}`), controller, now),
  });
  return {
    HTTPRoute: target('HTTPRoute', informers.httpRoutes),
    GRPCRoute: target('GRPCRoute', informers.grpcRoutes),
    TLSRoute: target('TLSRoute', informers.tlsRoutes),
    TCPRoute: target('TCPRoute', informers.tcpRoutes),
  };
}

/** Tells the writer whenever the model says something else. */
export function followRoutes(mesh: MeshModel, writer: ObjectStatusWriter): void {
  mesh.model.routeStatuses.subscribe((changes) => {
    for (const { key } of changes) {
      const space = key.indexOf(' ');
      writer.changed(key.slice(0, space), key.slice(space + 1));
    }
  });
}
