// SPDX-License-Identifier: Apache-2.0
//
// Names, labels and annotations of what is made for a Gateway.

import * as names from '../object/names.ts';
import { annotation, labelsOf, namespaceOf } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import { type GatewayProfile, managedBy } from './classes.ts';

type Pairs = Readonly<Record<string, string>>;

const GATEWAY_CLASS_NAME = 'gateway.networking.k8s.io/gateway-class-name';
export const NAME_OVERRIDE = 'gateway.istio.io/name-override';
export const SERVICE_TYPE = 'networking.istio.io/service-type';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export interface PlannedMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Pairs;
  readonly annotations: Pairs;
  readonly ownerReferences: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }[];
}

/** Name of the Deployment and the Service. */
export function objectName(gateway: Gateway): string {
  return annotation(gateway, NAME_OVERRIDE) ?? gateway.metadata.name;
}

export function accountName(gateway: Gateway): string {
  return annotation(gateway, names.GATEWAY_SERVICE_ACCOUNT) ?? gateway.metadata.name;
}

/** By what a Gateway's pods are found. */
export function selectorOf(gateway: Gateway): Pairs {
  return { [names.GATEWAY_NAME]: gateway.metadata.name };
}

export function plannedMeta(gateway: Gateway, profile: GatewayProfile, name: string): PlannedMeta {
  const { name: gatewayName, uid = '' } = gateway.metadata;
  return {
    name,
    namespace: namespaceOf(gateway),
    labels: { ...copiedLabels(gateway), ...identifyingLabels(gateway, profile) },
    annotations: copiedAnnotations(gateway),
    ownerReferences: [{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name: gatewayName, uid }],
  };
}

export function identifyingLabels(gateway: Gateway, profile: GatewayProfile): Pairs {
  return {
    [names.GATEWAY_MANAGED]: managedBy(profile),
    [names.GATEWAY_NAME]: gateway.metadata.name,
    [GATEWAY_CLASS_NAME]: gateway.spec?.gatewayClassName ?? '',
  };
}

interface Infrastructure {
  readonly labels?: Pairs;
  readonly annotations?: Pairs;
}

/** `spec.infrastructure` decides when it is there, even when it is empty; otherwise the Gateway's own are taken over. */
export function copiedLabels(gateway: Gateway): Pairs {
  return copied(infrastructureOf(gateway), 'labels') ?? passable(labelsOf(gateway));
}

export function copiedAnnotations(gateway: Gateway): Pairs {
  return copied(infrastructureOf(gateway), 'annotations') ?? passable(gateway.metadata.annotations ?? {});
}

function infrastructureOf(gateway: Gateway): Infrastructure | undefined {
  return gateway.spec?.['infrastructure'] as Infrastructure | undefined;
}

function copied(infrastructure: Infrastructure | undefined, which: keyof Infrastructure): Pairs | undefined {
  return infrastructure === undefined ? undefined : (infrastructure[which] ?? {});
}

function passable(pairs: Pairs): Pairs {
  const kept = Object.entries(pairs).filter(
    ([key]) => !key.startsWith('gateway.networking.k8s.io/') && key !== LAST_APPLIED,
  );
  return Object.fromEntries(kept);
}
