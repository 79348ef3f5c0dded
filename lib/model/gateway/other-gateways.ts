// SPDX-License-Identifier: Apache-2.0
//
// Gateways for which nothing of ours runs, and what they are told. A Gateway of class `istio-remote` describes a gateway
// that stands in another network: it is accepted, and its addresses are those it was given. Gateways of classes for
// ingress and between networks (`istio`, `istio-east-west`) are refused with the reason, so that nobody waits for them;
// one that another controller has accepted is left to that one. Sets of listeners stand and fall with their Gateway.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { ModelInputs, SettingsCollection } from '../inputs.ts';
import { type CustomObject, namespaceOf } from '../object/object.ts';
import { GATEWAY_GROUP } from '../route/spec.ts';
import { settingsIn } from '../scope.ts';
import type { Gateway, Listener } from '../waypoint/gateway.ts';
import { classOf, type OtherClass, otherClasses } from './classes.ts';
import {
  condition,
  type GatewayStatus,
  type ListenerStatus,
  requestedAddresses,
  type StatusCondition,
} from './gateway-status.ts';
import type { ListenerSet } from './listener-set.ts';

/** What a set of listeners is told. */
export type ListenerSetStatus = Omit<GatewayStatus, 'addresses'>;

export interface OtherGatewaySources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly gateways: Collection<Gateway>;
  readonly listenerSets: Collection<ListenerSet>;
  /** Waypoints that are ours, by key. */
  readonly own: Collection<unknown>;
  /** Whether a Gateway is our revision's. */
  readonly isOurs: (gateway: Gateway, fetch: Fetch) => boolean;
}

export interface OtherGateways {
  /** By the Gateway's key. */
  readonly statuses: Collection<GatewayStatus>;
  /** By the GatewayClass's name. */
  readonly classStatuses: Collection<readonly StatusCondition[]>;
  /** By the ListenerSet's key; all refused. */
  readonly listenerSets: Collection<ListenerSetStatus>;
}

export function createOtherGateways(graph: Graph, sources: OtherGatewaySources): OtherGateways {
  const { gateways, inputs, isOurs, own, settings } = sources;
  const statuses = graph.map('other gateway statuses', gateways, (gateway, _key, fetch): GatewayStatus | undefined => {
    if (gateway.cluster !== undefined || !isOurs(gateway, fetch)) return undefined;
    const gatewayClass = fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? '');
    const found = classOf(gateway, gatewayClass, otherClasses(settingsIn(settings, fetch).ownClassesOnly));
    if (found === undefined) return undefined;
    return found.unmanaged ? described(gateway) : isAccepted(gateway) ? undefined : refused(gateway, found);
  });
  const classStatuses = graph.map('other gateway class statuses', inputs.gatewayClasses, (object, _key, fetch) => {
    const among = otherClasses(settingsIn(settings, fetch).ownClassesOnly);
    const found = among.find(({ controllerName }) => controllerName === object.spec?.['controllerName']);
    if (found === undefined) return undefined;
    if (found.unmanaged) return [condition('Accepted', true, 'Accepted', 'Handled by Ambit controller')];
    return isAccepted(object) ? undefined : [condition('Accepted', false, 'Unsupported', notServed(found))];
  });
  const listenerSets = graph.map('listener sets', sources.listenerSets, (set, _key, fetch) => {
    const {
      group = GATEWAY_GROUP,
      kind = 'Gateway',
      name = '',
      namespace = namespaceOf(set),
    } = set.spec?.parentRef ?? {};
    if (group !== GATEWAY_GROUP || kind !== 'Gateway') return undefined;
    const key = `${namespace}/${name}`;
    if (fetch.get(own, key) !== undefined) {
      return refusedSet(set, 'NotAllowed', `Gateway ${key} is a waypoint: it listens for tunnels alone`);
    }
    return fetch.get(statuses, key) === undefined
      ? undefined
      : refusedSet(set, 'ParentNotAccepted', `nothing listens at Gateway ${key}: see its status`);
  });
  return { statuses, classStatuses, listenerSets };
}

/** A Gateway in another network, run by whoever runs it there. */
function described(gateway: Gateway): GatewayStatus {
  const addresses = requestedAddresses(gateway);
  const programmed =
    addresses.length > 0
      ? condition('Programmed', true, 'Programmed', 'nothing is run for it: it says where another network is reached')
      : condition('Programmed', false, 'AddressNotAssigned', 'spec.addresses is to say where the gateway is reached');
  const yes = 'No errors found';
  return {
    addresses,
    conditions: [condition('Accepted', true, 'Accepted', yes), programmed],
    listeners: listenersOf(gateway.spec?.listeners, (type) => condition(type, true, type, yes)),
  };
}

function refused(gateway: Gateway, found: OtherClass): GatewayStatus {
  const message = notServed(found);
  return {
    addresses: [],
    conditions: [
      condition('Accepted', false, 'Unsupported', message),
      condition('Programmed', false, 'Invalid', message),
    ],
    listeners: refusedListeners(gateway.spec?.listeners, message),
  };
}

function refusedSet(set: ListenerSet, reason: string, message: string): ListenerSetStatus {
  const programmed = reason === 'NotAllowed' ? reason : 'ParentNotProgrammed';
  return {
    conditions: [condition('Accepted', false, reason, message), condition('Programmed', false, programmed, message)],
    listeners: refusedListeners(set.spec?.listeners, message),
  };
}

function refusedListeners(listeners: readonly Listener[] | undefined, message: string): ListenerStatus[] {
  return listenersOf(listeners, (type) =>
    condition(type, false, type === 'Accepted' ? 'UnsupportedProtocol' : 'Invalid', message),
  );
}

function listenersOf(
  listeners: readonly Listener[] = [],
  judge: (type: 'Accepted' | 'Programmed') => StatusCondition,
): ListenerStatus[] {
  return listeners.map(({ name = '' }) => ({
    name,
    supportedKinds: [],
    attachedRoutes: 0,
    conditions: [
      judge('Accepted'),
      judge('Programmed'),
      condition('Conflicted', false, 'NoConflicts', 'No errors found'),
      condition('ResolvedRefs', true, 'ResolvedRefs', 'No errors found'),
    ],
  }));
}

function notServed({ className, purpose }: OtherClass): string {
  return `Ambit runs no gateway ${purpose} (class ${className}), so nothing listens there; for an Istio beside it that does, set AMBIT_OWN_GATEWAY_CLASSES_ONLY=true`;
}

/** Whether somebody else has accepted it: we never accept what we do not serve. */
function isAccepted({ status }: CustomObject): boolean {
  const conditions = status?.['conditions'];
  return (
    Array.isArray(conditions) &&
    (conditions as Partial<StatusCondition>[]).some((one) => one?.type === 'Accepted' && one.status === 'True')
  );
}
