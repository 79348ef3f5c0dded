// SPDX-License-Identifier: Apache-2.0
//
// The GatewayClasses this control plane answers for. Istio's class keeps its name and its controller's, so that
// people's YAML works unchanged; the second is ours alone, for a cluster in which an Istio answers for the first.

import type { CustomObject } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';

export interface GatewayProfile {
  /** The GatewayClass that istiod creates. */
  readonly className: string;
  /** `spec.controllerName` of the classes that mean this. */
  readonly controllerName: string;
  /** What runs for a Gateway of the class. */
  readonly runs: 'waypoint';
  readonly serviceType: 'ClusterIP' | 'LoadBalancer';
  readonly description: string;
}

const WAYPOINT = { runs: 'waypoint', serviceType: 'ClusterIP' } as const;

export const ISTIO_WAYPOINT: GatewayProfile = {
  ...WAYPOINT,
  className: 'istio-waypoint',
  controllerName: 'istio.io/mesh-controller',
  description: 'A waypoint: layer 7 for the services and workloads that ask for it.',
};

export const AMBIT_WAYPOINT: GatewayProfile = {
  ...WAYPOINT,
  className: 'ambit-waypoint',
  controllerName: 'ambit.dev/mesh-controller',
  description: "As istio-waypoint, and always Ambit's, whoever else is in the cluster.",
};

/** The classes to answer for. @param ownOnly leaves Istio's names to an Istio */
export function profiles(ownOnly: boolean): readonly GatewayProfile[] {
  return ownOnly ? [AMBIT_WAYPOINT] : [ISTIO_WAYPOINT, AMBIT_WAYPOINT];
}

/** Whose Gateway it is: by its class, or by the class's built-in name while the class itself does not exist. */
export function profileOf(
  gateway: Gateway,
  gatewayClass: CustomObject | undefined,
  among: readonly GatewayProfile[],
): GatewayProfile | undefined {
  const className = gateway.spec?.gatewayClassName;
  if (gatewayClass === undefined) return among.find((profile) => profile.className === className);
  return among.find(({ controllerName }) => controllerName === gatewayClass.spec?.['controllerName']);
}

/** Value of the label `gateway.istio.io/managed` on what is made for a Gateway. */
export function managedBy({ controllerName }: GatewayProfile): string {
  return controllerName.replaceAll('/', '-');
}

/** All values of that label which mark a waypoint's own objects, an Istio's included. */
export const WAYPOINT_MANAGERS: ReadonlySet<string> = new Set([
  managedBy(ISTIO_WAYPOINT),
  managedBy(AMBIT_WAYPOINT),
  'istio.io-eastwest-controller',
]);
