// SPDX-License-Identifier: Apache-2.0
//
// Where a waypoint or an east-west gateway is to be found: by address or by host name, and the port of its tunnel.

import type { Ip } from './ip.ts';

/** The port of HBONE on every peer unless an address says otherwise. */
export const HBONE_PORT = 15008;

export type GatewayDestination =
  | { readonly kind: 'ip'; readonly network: string; readonly ip: Ip }
  | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string };

export interface GatewayAddress {
  readonly destination: GatewayDestination;
  /** Port on `destination` (a service port when that is a service). 0 when the sender gave none. */
  readonly hbonePort: number;
}

/** One of several waypoints that share a service's traffic; 0 is listed and unused. */
export interface WeightedWaypoint {
  readonly address: GatewayAddress;
  readonly weight: number;
}

/** `shop/waypoint.shop.svc.cluster.local:15008` or `10.0.0.9:15008`, with the network in front when it has a name. */
export function describeGateway({ destination, hbonePort }: GatewayAddress): string {
  if (destination.kind === 'hostname') return `${destination.namespace}/${destination.hostname}:${hbonePort}`;
  const at = destination.ip.withPort(hbonePort);
  return destination.network === '' ? at : `${destination.network}/${at}`;
}
