// SPDX-License-Identifier: Apache-2.0
//
// How near an endpoint must be: spec.internalTrafficPolicy, then spec.trafficDistribution, then the annotation on the
// Service, then the one on its Namespace.

import { table } from '#lib/kit/table.ts';
import { ANY_ENDPOINT, type LoadBalancing, type Scope } from '#lib/mesh/service.ts';
import { TRAFFIC_DISTRIBUTION } from '../object/names.ts';
import { annotation, type KubeObject, type Namespace, type Service } from '../object/object.ts';

const NEAR_ZONE: readonly Scope[] = ['network', 'region', 'zone'];
const NEAR_NODE: readonly Scope[] = ['network', 'region', 'zone', 'subzone', 'node'];

const PREFERENCES = table<readonly Scope[]>({
  prefersamezone: NEAR_ZONE,
  preferclose: NEAR_ZONE,
  prefersamenode: NEAR_NODE,
});

export function loadBalancingOf(service: Service, namespace: Namespace | undefined): LoadBalancing {
  const allowUnhealthy = service.spec?.publishNotReadyAddresses === true;
  if (service.spec?.internalTrafficPolicy === 'Local') return { mode: 'strict', scopes: ['node'], allowUnhealthy };
  const scopes = preference(service.spec?.trafficDistribution, service, namespace);
  return scopes === undefined
    ? { mode: 'any', scopes: [], allowUnhealthy }
    : { mode: 'failover', scopes, allowUnhealthy };
}

/** Of a ServiceEntry: without resolution there is no choice, since the client has dialled an endpoint itself. */
export function entryLoadBalancing(
  entry: KubeObject,
  resolution: string,
  namespace: Namespace | undefined,
): LoadBalancing {
  if (resolution === 'NONE') return { mode: 'passthrough', scopes: [], allowUnhealthy: true };
  const scopes = preference(undefined, entry, namespace);
  return scopes === undefined ? ANY_ENDPOINT : { mode: 'failover', scopes, allowUnhealthy: false };
}

function preference(
  field: string | undefined,
  object: KubeObject,
  namespace: Namespace | undefined,
): readonly Scope[] | undefined {
  const wish =
    field ??
    annotation(object, TRAFFIC_DISTRIBUTION) ??
    (namespace === undefined ? undefined : annotation(namespace, TRAFFIC_DISTRIBUTION));
  return wish === undefined ? undefined : PREFERENCES[wish.toLowerCase()];
}
