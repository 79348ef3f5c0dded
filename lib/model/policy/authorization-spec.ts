// SPDX-License-Identifier: Apache-2.0
//
// The spec of an AuthorizationPolicy (security.istio.io/v1) as the model reads it, and which of its fields only
// layer 7 can judge.

import type { CustomObject, Selector } from '../object/object.ts';

export interface TargetRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
}

type List = readonly string[];

export interface Source {
  readonly principals?: List;
  readonly notPrincipals?: List;
  readonly namespaces?: List;
  readonly notNamespaces?: List;
  readonly serviceAccounts?: List;
  readonly notServiceAccounts?: List;
  readonly ipBlocks?: List;
  readonly notIpBlocks?: List;
  readonly trustDomains?: List;
  readonly notTrustDomains?: List;
  readonly requestPrincipals?: List;
  readonly notRequestPrincipals?: List;
  readonly remoteIpBlocks?: List;
  readonly notRemoteIpBlocks?: List;
}

export interface Operation {
  readonly ports?: List;
  readonly notPorts?: List;
  readonly hosts?: List;
  readonly notHosts?: List;
  readonly methods?: List;
  readonly notMethods?: List;
  readonly paths?: List;
  readonly notPaths?: List;
}

export interface When {
  readonly key?: string;
  readonly values?: List;
  readonly notValues?: List;
}

export interface AuthorizationRule {
  readonly from?: readonly { readonly source?: Source }[];
  readonly to?: readonly { readonly operation?: Operation }[];
  readonly when?: readonly When[];
}

export interface AuthorizationSpec {
  readonly selector?: Selector;
  readonly targetRef?: TargetRef;
  readonly targetRefs?: readonly TargetRef[];
  readonly action?: string;
  readonly provider?: { readonly name?: string };
  readonly rules?: readonly (AuthorizationRule | null)[];
}

export interface AuthorizationPolicy extends CustomObject {
  readonly spec?: AuthorizationSpec & Readonly<Record<string, unknown>>;
}

export const L7_SOURCE_FIELDS = [
  'requestPrincipals',
  'notRequestPrincipals',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
] as const satisfies readonly (keyof Source)[];

export const L7_OPERATION_FIELDS = [
  'hosts',
  'notHosts',
  'methods',
  'notMethods',
  'paths',
  'notPaths',
] as const satisfies readonly (keyof Operation)[];

/** Keys of `when` that layer 4 can judge. */
export const L4_WHEN_KEYS = [
  'source.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'source.trustDomain',
  'destination.ip',
  'destination.port',
] as const;

export type L4WhenKey = (typeof L4_WHEN_KEYS)[number];

/** The objects a policy is attached to instead of a selector; `targetRef` counts when `targetRefs` is empty. */
export function targetRefsOf(spec: AuthorizationSpec | undefined): readonly TargetRef[] {
  if (spec?.targetRefs !== undefined && spec.targetRefs.length > 0) return spec.targetRefs;
  return spec?.targetRef === undefined ? [] : [spec.targetRef];
}
