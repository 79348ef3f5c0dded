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

/** A class of Gateways for which nothing of ours runs. */
export interface OtherClass {
  readonly className: string;
  readonly controllerName: string;
  /** Of what it would be. */
  readonly purpose: string;
  readonly description: string;
  /** It describes a gateway that somebody else runs elsewhere. Otherwise it asks for one, and there is none. */
  readonly unmanaged: boolean;
}

const REMOTE = {
  unmanaged: true,
  purpose: 'into another network',
  description: 'Where another network is reached: a gateway that somebody else runs there.',
} as const;
const MISSING = { unmanaged: false, description: '' } as const;
const OTHERS: readonly OtherClass[] = [
  { ...REMOTE, className: 'istio-remote', controllerName: 'istio.io/unmanaged-gateway' },
  { ...REMOTE, className: 'ambit-remote', controllerName: 'ambit.dev/unmanaged-gateway' },
  { ...MISSING, className: 'istio', controllerName: 'istio.io/gateway-controller', purpose: 'for ingress' },
  {
    ...{ ...MISSING, className: 'istio-east-west', controllerName: 'istio.io/eastwest-controller' },
    purpose: 'for other networks to come in by',
  },
];

/** The classes to answer for without running anything. @param ownOnly leaves Istio's names to an Istio */
export function otherClasses(ownOnly: boolean): readonly OtherClass[] {
  return ownOnly ? OTHERS.filter(({ controllerName }) => controllerName.startsWith('ambit.dev/')) : OTHERS;
}

/** The classes to answer for. @param ownOnly leaves Istio's names to an Istio */
export function profiles(ownOnly: boolean): readonly GatewayProfile[] {
  return ownOnly ? [AMBIT_WAYPOINT] : [ISTIO_WAYPOINT, AMBIT_WAYPOINT];
}

/** The classes that istiod creates where they are missing: those whose Gateways are accepted. */
export function createdClasses(ownOnly: boolean): readonly (GatewayProfile | OtherClass)[] {
  return [...profiles(ownOnly), ...otherClasses(ownOnly).filter(({ unmanaged }) => unmanaged)];
}

/** Whose Gateway it is: by its class, or by the class's built-in name while the class itself does not exist. */
export function classOf<T extends { readonly className: string; readonly controllerName: string }>(
  gateway: Gateway,
  gatewayClass: CustomObject | undefined,
  among: readonly T[],
): T | undefined {
  const className = gateway.spec?.gatewayClassName;
  if (gatewayClass === undefined) return among.find((one) => one.className === className);
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
