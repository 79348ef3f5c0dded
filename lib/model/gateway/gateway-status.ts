// SPDX-License-Identifier: Apache-2.0
//
// What a Gateway's status says: whether it is accepted, whether traffic can go there and where, and of each listener
// the same.

import { formatProblem, type Problem } from '#lib/kit/result.ts';
import { HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import { keyOf, namespaceOf, type Service } from '../object/object.ts';
import type { Gateway, Listener } from '../waypoint/gateway.ts';
import { hostnameOf } from '../workload/membership.ts';

export interface StatusCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[];
  readonly attachedRoutes: number;
  readonly conditions: readonly StatusCondition[];
}

export interface GatewayStatus {
  readonly conditions: readonly StatusCondition[];
  readonly addresses: readonly { readonly type: string; readonly value: string }[];
  readonly listeners: readonly ListenerStatus[];
}

export interface GatewayFacts {
  /** The Service made for it, when it exists. */
  readonly service: Service | undefined;
  /** Whether one of its pods is ready. */
  readonly serving: boolean;
  /** What is wrong with its parameters. */
  readonly problems: readonly Problem[];
  readonly domain: string;
}

export function gatewayStatus(gateway: Gateway, facts: GatewayFacts): GatewayStatus {
  const listeners = (gateway.spec?.listeners ?? []).map(listenerStatus);
  const supplied = isSupplied(gateway);
  const addresses = supplied ? requestedAddresses(gateway) : assignedAddresses(gateway, facts);
  return { conditions: [accepted(listeners, facts), programmed(gateway, addresses, facts)], addresses, listeners };
}

/** Whether the user brings the proxy: several addresses, or a host name that leads to it. */
export function isSupplied(gateway: Gateway): boolean {
  const addresses = requestedAddresses(gateway);
  return addresses.length > 1 || (addresses.length === 1 && addresses[0]?.type === 'Hostname');
}

/** Those a Gateway was given by its author. */
export function requestedAddresses(gateway: Gateway): { readonly type: string; readonly value: string }[] {
  const asked = (gateway.spec?.['addresses'] ?? []) as readonly { readonly type?: string; readonly value?: string }[];
  return asked.map(({ type = 'IPAddress', value = '' }) => ({ type, value })).filter(({ value }) => value !== '');
}

/** Addresses come with the first ready pod, and stay while pods come and go: who relies on one keeps it. */
function assignedAddresses(gateway: Gateway, { domain, service, serving }: GatewayFacts): GatewayStatus['addresses'] {
  if (service === undefined) return [];
  const known = (gateway.status?.addresses ?? []).length > 0;
  if (!serving && !known) return [];
  const { clusterIP, clusterIPs } = service.spec ?? {};
  const ips = (clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP])).filter((ip) => ip !== 'None' && ip !== '');
  const hostname = hostnameOf(service.metadata.name, namespaceOf(service), domain);
  return [...ips.map((value) => ({ type: 'IPAddress', value })), { type: 'Hostname', value: hostname }];
}

function accepted(listeners: readonly ListenerStatus[], { problems }: GatewayFacts): StatusCondition {
  if (problems.length > 0) {
    return condition('Accepted', false, 'InvalidParameters', problems.map((one) => formatProblem(one)).join('. '));
  }
  const invalid = listeners.filter(({ conditions }) => conditions.some(isRefusal)).map(({ name }) => name);
  if (invalid.length === 0) return condition('Accepted', true, 'Accepted', 'Resource accepted');
  // A waypoint without its listener still serves: the listener's own condition tells what is wrong.
  return condition('Accepted', true, 'ListenersNotValid', `not served: listener ${invalid.join(', ')}`);
}

function isRefusal({ type, status }: StatusCondition): boolean {
  return type === 'Accepted' && status === 'False';
}

function programmed(
  gateway: Gateway,
  addresses: GatewayStatus['addresses'],
  { problems, service, serving }: GatewayFacts,
): StatusCondition {
  if (problems.length > 0) return condition('Programmed', false, 'Invalid', 'the parameters are not usable');
  if (addresses.length > 0) {
    const ports = (gateway.spec?.listeners ?? []).map(({ port }) => port).join(', ');
    const where = addresses.map(({ value }) => value).join(', ');
    return condition('Programmed', true, 'Programmed', `Resource programmed, assigned to ${where}, port ${ports}`);
  }
  const missing =
    service === undefined
      ? 'its Service does not exist yet'
      : serving
        ? `Service ${keyOf(service)} has no address yet`
        : `no pod behind Service ${keyOf(service)} is ready yet`;
  return condition('Programmed', false, 'AddressNotAssigned', missing);
}

/** A waypoint listens for tunnels, and for nothing else. */
function listenerStatus({ name = '', port, protocol }: Listener): ListenerStatus {
  const fits = protocol === 'HBONE' && port === HBONE_PORT;
  const refused = `a waypoint's listener is HBONE on port ${HBONE_PORT}; this is ${protocol ?? 'nothing'} on ${port ?? 0}`;
  return {
    name,
    supportedKinds: [],
    // No kind of route attaches to a listener of tunnels: routes of a mesh attach to Services.
    attachedRoutes: 0,
    conditions: [
      fits
        ? condition('Accepted', true, 'Accepted', 'No errors found')
        : condition('Accepted', false, 'UnsupportedProtocol', refused),
      fits
        ? condition('Programmed', true, 'Programmed', 'No errors found')
        : condition('Programmed', false, 'Invalid', refused),
      condition('Conflicted', false, 'NoConflicts', 'No errors found'),
      condition('ResolvedRefs', true, 'ResolvedRefs', 'No errors found'),
    ],
  };
}

export function condition(type: string, yes: boolean, reason: string, message: string): StatusCondition {
  return { type, status: yes ? 'True' : 'False', reason, message };
}
