// SPDX-License-Identifier: Apache-2.0
//
// How near an endpoint must be: spec.internalTrafficPolicy, then spec.trafficDistribution, then the annotation on the
// Service, then the one on its Namespace.

import type { LoadBalancing, Scope } from '#lib/mesh/service.ts';
import { TRAFFIC_DISTRIBUTION } from '../object/names.ts';
import { annotation, type Namespace, type Service } from '../object/object.ts';

const NEAR_ZONE: readonly Scope[] = ['network', 'region', 'zone'];
const NEAR_NODE: readonly Scope[] = ['network', 'region', 'zone', 'subzone', 'node'];

const PREFERENCES: Readonly<Record<string, readonly Scope[]>> = {
  prefersamezone: NEAR_ZONE,
  preferclose: NEAR_ZONE,
  prefersamenode: NEAR_NODE,
};

export function loadBalancingOf(service: Service, namespace: Namespace | undefined): LoadBalancing {
  const allowUnhealthy = service.spec?.publishNotReadyAddresses === true;
  if (service.spec?.internalTrafficPolicy === 'Local') return { mode: 'strict', scopes: ['node'], allowUnhealthy };
  const wish =
    service.spec?.trafficDistribution ??
    annotation(service, TRAFFIC_DISTRIBUTION) ??
    (namespace === undefined ? undefined : annotation(namespace, TRAFFIC_DISTRIBUTION));
  const scopes = wish === undefined ? undefined : PREFERENCES[wish.toLowerCase()];
  return scopes === undefined
    ? { mode: 'any', scopes: [], allowUnhealthy }
    : { mode: 'failover', scopes, allowUnhealthy };
}
