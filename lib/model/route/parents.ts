// SPDX-License-Identifier: Apache-2.0
//
// Where a route attaches: each parentRef is a service's ports or a gateway's listeners, or a reason why not. One
// parent's refusal is not another's.

import { tableName } from '#lib/mesh/http/route-table.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type {
  Attachment,
  ConditionValue,
  ConvertedParent,
  ConvertedRoute,
  Reference,
  RouteContext,
  RouteKind,
  RouteListener,
  RoutePart,
} from './context.ts';
import { commonHosts } from './hostname.ts';
import type { RefProblem } from './reference.ts';
import { GATEWAY_GROUP, type HttpRoute, ISTIO_GROUP, type ParentRef, type StreamRoute } from './spec.ts';

/** A route's content for one kind of parent. */
export interface RouteContent {
  readonly part: RoutePart;
  /** Of the first reference that leads nowhere. */
  readonly refProblem: RefProblem | undefined;
  /** Rules that cannot be obeyed, in words. */
  readonly invalid: readonly string[];
  /** Why nothing of it can be accepted, with its reason; undefined when something can. */
  readonly refused: { readonly reason: string; readonly message: string } | undefined;
}

type AnyRoute = HttpRoute | StreamRoute;

/** @param content for services (`mesh`) and for gateways, where references need grants */
export function convertParents(
  route: AnyRoute,
  kind: RouteKind,
  context: RouteContext,
  content: (mesh: boolean) => RouteContent,
): ConvertedRoute {
  const made = new Map<boolean, RouteContent>();
  const contentFor = (mesh: boolean): RouteContent => {
    const known = made.get(mesh) ?? content(mesh);
    made.set(mesh, known);
    return known;
  };
  const parents = (route.spec?.parentRefs ?? []).flatMap((ref, index): ConvertedParent[] => {
    const reference: Reference = {
      group: ref.group ?? GATEWAY_GROUP,
      kind: ref.kind ?? 'Gateway',
      namespace: ref.namespace ?? namespaceOf(route),
      name: ref.name,
    };
    const mesh = isServiceKind(reference);
    if (mesh) return [toService(route, ref, reference, index, context, contentFor(true))];
    const listeners = context.listeners(reference);
    // Another controller's Gateway is another controller's to answer for.
    return listeners === undefined ? [] : [toGateway(route, kind, ref, listeners, index, contentFor(false))];
  });
  return { key: keyOf(route), kind, parents };
}

function isServiceKind({ group, kind }: Reference): boolean {
  return (group === '' && kind === 'Service') || (group === ISTIO_GROUP && kind === 'ServiceEntry');
}

function toService(
  route: AnyRoute,
  ref: ParentRef,
  reference: Reference,
  parent: number,
  context: RouteContext,
  content: RouteContent,
): ConvertedParent {
  const service = context.service(reference);
  const text = `${reference.kind} ${reference.namespace}/${reference.name}`;
  if (service === undefined) return refusedParent(ref, 'NoMatchingParent', `${text} does not exist`, content);
  if (!service.attachable) {
    return refusedParent(
      ref,
      'NoMatchingParent',
      `${text} has no virtual address that a route could stand before`,
      content,
    );
  }
  const ports = service.ports.filter(
    ({ name, port }) =>
      (ref.port === undefined || ref.port === port) && (ref.sectionName === undefined || ref.sectionName === name),
  );
  if (ports.length === 0) return refusedParent(ref, 'NoMatchingParent', `${text} has no such port`, content);
  if (content.refused !== undefined) {
    return refusedParent(ref, content.refused.reason, content.refused.message, content);
  }
  const namespace = namespaceOf(route);
  const attachments = ports.map(({ port }): Attachment => {
    return {
      table: tableName(service.key, port),
      service: service.key,
      port,
      clientNamespace: namespace === reference.namespace ? '' : namespace,
      hosts: ['*'],
      part: content.part,
      parent,
    };
  });
  const waypoint: ConditionValue = service.hasWaypoint
    ? condition('ResolvedWaypoints', true, 'ResolvedWaypoints', `a waypoint of ${text} obeys it`)
    : condition(
        'ResolvedWaypoints',
        false,
        'MissingUseWaypointLabel',
        `${text} has no waypoint, so nothing obeys the route; label it or its namespace istio.io/use-waypoint`,
      );
  return { ref, conditions: [...acceptedConditions(content), waypoint], attachments };
}

function toGateway(
  route: AnyRoute,
  kind: RouteKind,
  ref: ParentRef,
  all: readonly RouteListener[],
  parent: number,
  content: RouteContent,
): ConvertedParent {
  if (all.length === 0) return refusedParent(ref, 'NoMatchingParent', 'nothing listens there: see its status', content);
  const listeners = all.filter(
    ({ name, port }) =>
      (ref.sectionName === undefined || ref.sectionName === name) && (ref.port === undefined || ref.port === port),
  );
  if (listeners.length === 0)
    return refusedParent(ref, 'NoMatchingParent', 'no listener has that name and port', content);
  const namespace = namespaceOf(route);
  const admitting = listeners.filter((one) => one.kinds.includes(kind) && one.admits(namespace));
  if (admitting.length === 0) {
    const message = listeners.some((one) => one.kinds.includes(kind))
      ? `no listener admits routes of namespace ${namespace}`
      : `no listener takes a ${kind}`;
    return refusedParent(ref, 'NotAllowedByListeners', message, content);
  }
  if (content.refused !== undefined) {
    return refusedParent(ref, content.refused.reason, content.refused.message, content);
  }
  const hostnames = route.spec?.hostnames ?? [];
  const attachments = admitting.flatMap((listener): Attachment[] => {
    const hosts = kind === 'TCPRoute' ? ['*'] : commonHosts(hostnames, listener.hostname);
    if (hosts.length === 0) return [];
    const { port, table } = listener;
    return [{ table, service: undefined, port, clientNamespace: '', hosts, part: content.part, parent }];
  });
  if (attachments.length === 0) {
    const message = `none of the hostnames ${hostnames.join(', ')} is one of a listener`;
    return refusedParent(ref, 'NoMatchingListenerHostname', message, content);
  }
  return { ref, conditions: acceptedConditions(content), attachments };
}

function condition(type: string, status: boolean, reason: string, message: string): ConditionValue {
  return { type, status, reason, message };
}

function refusedParent(ref: ParentRef, reason: string, message: string, content: RouteContent): ConvertedParent {
  return { ref, conditions: [condition('Accepted', false, reason, message), refsCondition(content)], attachments: [] };
}

function refsCondition({ refProblem }: RouteContent): ConditionValue {
  return refProblem === undefined
    ? condition('ResolvedRefs', true, 'ResolvedRefs', 'all references resolve')
    : condition('ResolvedRefs', false, refProblem.reason, refProblem.message);
}

function acceptedConditions(content: RouteContent): ConditionValue[] {
  const out = [condition('Accepted', true, 'Accepted', 'the route is obeyed'), refsCondition(content)];
  if (content.invalid.length > 0) {
    const message = `${content.invalid.join('; ')}; requests of these rules are answered 500`;
    out.push(condition('PartiallyInvalid', true, 'UnsupportedValue', message));
  }
  return out;
}
