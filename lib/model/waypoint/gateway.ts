// SPDX-License-Identifier: Apache-2.0
//
// What the model reads of a Gateway (gateway.networking.k8s.io): is it a waypoint that traffic can be sent to, for
// what kind of traffic, and for whom.

import { type GatewayAddress, HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { ApplicationTunnel } from '#lib/mesh/workload.ts';
import { type LabelSelector, parseLabelSelector } from '../object/label-selector.ts';
import * as names from '../object/names.ts';
import { annotation, type CustomObject, keyOf, label, namespaceOf } from '../object/object.ts';

export interface Listener {
  readonly name?: string;
  readonly port?: number;
  readonly protocol?: string;
  readonly tls?: { readonly mode?: string };
  readonly allowedRoutes?: {
    readonly namespaces?: {
      readonly from?: string;
      readonly selector?: unknown;
    };
  };
}

export interface Gateway extends CustomObject {
  readonly spec?: {
    readonly gatewayClassName?: string;
    readonly listeners?: readonly Listener[];
  } & Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly addresses?: readonly { readonly type?: string; readonly value?: string }[];
  } & Readonly<Record<string, unknown>>;
}

export type TrafficType = 'service' | 'workload' | 'all' | 'none';

export interface Waypoint {
  /** `namespace/name`, with the cluster in front when that is a remote one. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** undefined until the Gateway has an address. */
  readonly address: GatewayAddress | undefined;
  readonly traffic: TrafficType;
  /** Set for a waypoint that sits behind the node proxy. */
  readonly tunnel: ApplicationTunnel | undefined;
  /** Namespaces whose objects may use it. */
  readonly admits: Admission;
  readonly serviceAccount: string;
}

export type Admission =
  | { readonly from: 'all' }
  | { readonly from: 'same' }
  | { readonly from: 'selector'; readonly selector: LabelSelector };

/** @param gatewayClass the class object of the same name, whose label and annotation are defaults */
export function waypointOf(gateway: Gateway, gatewayClass: CustomObject | undefined, network: string): Waypoint {
  const binding =
    annotation(gateway, names.WAYPOINT_INBOUND_BINDING) ??
    (gatewayClass && annotation(gatewayClass, names.WAYPOINT_INBOUND_BINDING));
  const tunnel = tunnelOf(binding);
  return {
    key: keyOf(gateway),
    namespace: namespaceOf(gateway),
    name: gateway.metadata.name,
    address: addressOf(gateway, network),
    traffic: trafficOf(label(gateway, names.WAYPOINT_FOR) ?? (gatewayClass && label(gatewayClass, names.WAYPOINT_FOR))),
    tunnel,
    admits: admissionOf(gateway, tunnel),
    serviceAccount: annotation(gateway, names.GATEWAY_SERVICE_ACCOUNT) ?? gateway.metadata.name,
  };
}

/** A host name before an address: it survives the Service's being made anew. */
function addressOf(gateway: Gateway, network: string): GatewayAddress | undefined {
  const addresses = gateway.status?.addresses ?? [];
  const hostname = addresses.find((one) => one.type === 'Hostname')?.value;
  if (hostname !== undefined && hostname !== '') {
    return {
      destination: { kind: 'hostname', namespace: namespaceOf(gateway), hostname },
      hbonePort: HBONE_PORT,
    };
  }
  for (const { value } of addresses) {
    const ip = parseIp(value ?? '');
    if (ip !== undefined) return { destination: { kind: 'ip', network, ip }, hbonePort: HBONE_PORT };
  }
  return undefined;
}

function trafficOf(text: string | undefined): TrafficType {
  return text === 'workload' || text === 'all' || text === 'none' ? text : 'service';
}

/** `PROXY`, `PROXY/15088`, `NONE`, `NONE/8080`. */
function tunnelOf(binding: string | undefined): ApplicationTunnel | undefined {
  const match = /^(PROXY|NONE)(?:\/(\d{1,5}))?$/.exec(binding ?? '');
  if (match === null) return undefined;
  return { protocol: match[1] === 'PROXY' ? 'proxy' : 'none', port: Number(match[2] ?? 0) };
}

function admissionOf(gateway: Gateway, tunnel: ApplicationTunnel | undefined): Admission {
  const listeners = gateway.spec?.listeners ?? [];
  const bound =
    tunnel === undefined
      ? undefined
      : listeners.find((one) => (tunnel.port === 0 ? one.protocol === 'istio.io/PROXY' : one.port === tunnel.port));
  const listener = bound ?? listeners.find((one) => one.protocol === 'HBONE' && one.port === HBONE_PORT);
  const allowed = listener?.allowedRoutes?.namespaces;
  switch (allowed?.from) {
    case 'All':
      return { from: 'all' };
    case 'Selector': {
      const selector = parseLabelSelector(allowed.selector, 'allowedRoutes.namespaces.selector');
      return selector.ok ? { from: 'selector', selector: selector.value } : { from: 'same' };
    }
    default:
      return { from: 'same' };
  }
}
