// SPDX-License-Identifier: Apache-2.0
//
// What a waypoint is itself, from its Gateway and the mesh's settings.

import { DEFAULT_RETRY } from '#lib/mesh/http/route-table.ts';
import type { Provider, WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import { annotatedHeaders } from '../gateway/proxy-config.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import { annotation, keyOf } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';

type Mesh = Pick<MeshSettings, 'pathNormalisation' | 'proxyHeaders' | 'trustDomainAliases'>;

const FORWARD_CLIENT = 'ambient.istio.io/xfcc-include-client-identity';

export function waypointSettings(
  gateway: Gateway,
  { pathNormalisation, proxyHeaders, trustDomainAliases }: Mesh,
  providers: readonly Provider[] = [],
): WaypointSettings {
  return {
    name: keyOf(gateway),
    listeners: (gateway.spec?.listeners ?? []).map(({ name = '', port = 0, protocol = '' }) => ({
      name,
      port,
      protocol,
      hostname: '',
      routeTable: '',
      tls: undefined,
    })),
    pathNormalisation,
    defaultRetry: DEFAULT_RETRY,
    headers: annotatedHeaders(gateway, proxyHeaders),
    providers,
    forwardClientIdentity: annotation(gateway, FORWARD_CLIENT) === 'true',
    trustedProxies: 0,
    trustDomainAliases,
  };
}
