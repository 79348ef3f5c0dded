// SPDX-License-Identifier: Apache-2.0
//
// A workload: something with an identity that sends and receives, usually a pod. Interfaces, not classes, so that a
// data-plane process can back them with records in shared memory. Absent values are `undefined` or '' but the
// property is always there: one shape for the optimiser.

import type { GatewayAddress } from './gateway-address.ts';
import { Identity } from './identity.ts';
import type { Ip } from './ip.ts';

/** `<cluster>/<group>/<kind>/<namespace>/<name>[/<section>]`, for pods `<cluster>//Pod/<namespace>/<name>`. */
export type WorkloadUid = string;

/** Key of a service, `<namespace>/<hostname>`. */
export type ServiceKey = string;

/** How the workload wants to be reached: `none` is plain TCP. */
export type TunnelProtocol = 'none' | 'hbone';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** One port of a service and where it leads; `targetPort` 0 is known per endpoint only. */
export interface PortMapping {
  readonly servicePort: number;
  readonly targetPort: number;
}

/** What a program behind the node proxy wants in front of the bytes. */
export interface ApplicationTunnel {
  readonly protocol: 'none' | 'proxy';
  /** 0: no override. */
  readonly port: number;
}

export interface Workload {
  readonly uid: WorkloadUid;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly addresses: readonly Ip[];
  /** Resolved by DNS when `addresses` is empty. */
  readonly hostname: string;
  readonly network: string;
  readonly protocol: TunnelProtocol;
  /** For traffic addressed to the workload itself; service traffic follows the service's. */
  readonly waypoint: GatewayAddress | undefined;
  /** How other networks reach it. */
  readonly networkGateway: GatewayAddress | undefined;
  readonly node: string;
  readonly clusterId: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: 'deployment' | 'cronjob' | 'pod' | 'job';
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel: ApplicationTunnel | undefined;
  /** The services it serves, with the ports that override the service's for this endpoint. */
  readonly services: ReadonlyMap<ServiceKey, readonly PortMapping[]>;
  /** `<namespace>/<name>` of policies bound to this workload, in order. */
  readonly authorizationPolicies: readonly string[];
  readonly healthy: boolean;
  readonly locality: Locality;
  /** Shares its node's addresses and is not found by them. */
  readonly hostNetwork: boolean;
  /** Weight in load balancing; 0 is never chosen. */
  readonly capacity: number;
  /** `ambit.dev/same-node: tunnel` on its namespace: no shortcut between pods of one node. */
  readonly sameNodeTunnel: boolean;
  /** `ambit.dev/http-metrics: enabled` on its namespace: requests it sends and gets in clear are read along and counted. */
  readonly httpMetrics: boolean;
}

export const NO_LOCALITY: Locality = { region: '', zone: '', subzone: '' };

/** A workload of which nothing is known. */
export const UNKNOWN_WORKLOAD: Workload = {
  uid: '',
  name: '',
  namespace: '',
  serviceAccount: '',
  trustDomain: '',
  addresses: [],
  hostname: '',
  network: '',
  protocol: 'none',
  waypoint: undefined,
  networkGateway: undefined,
  node: '',
  clusterId: '',
  canonicalName: '',
  canonicalRevision: '',
  workloadType: 'pod',
  workloadName: '',
  nativeTunnel: false,
  applicationTunnel: undefined,
  services: new Map(),
  authorizationPolicies: [],
  healthy: true,
  locality: NO_LOCALITY,
  hostNetwork: false,
  capacity: 1,
  sameNodeTunnel: false,
  httpMetrics: false,
};

export function identityOf(workload: Workload): Identity {
  return new Identity(workload.trustDomain, workload.namespace, workload.serviceAccount);
}

/** `shop/cart-7d5f` for people; falls back to the uid for workloads without a name. */
export function describeWorkload(workload: Workload): string {
  return workload.name === '' ? workload.uid : `${workload.namespace}/${workload.name}`;
}

/** The endpoint's port behind `servicePort`, undefined when it has none of its own. */
export function mappedPort(ports: readonly PortMapping[], servicePort: number): number | undefined {
  for (const port of ports) {
    if (port.servicePort === servicePort) return port.targetPort === 0 ? undefined : port.targetPort;
  }
  return undefined;
}
