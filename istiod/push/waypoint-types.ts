// SPDX-License-Identifier: Apache-2.0
// The resource types of waypoints on the wire: each waypoint gets what is meant for its Gateway, and shows by its
// identity that it is one of the Gateway's own.

import type { Collection } from '#lib/collections/collection.ts';
import { parseIdentity } from '#lib/mesh/identity.ts';
import type { ScopedType } from '#lib/model/l7/scoped.ts';
import type { Waypoint } from '#lib/model/waypoint/gateway.ts';
import { parseNodeId } from '#lib/xds/node.ts';
import type { Peer } from '#lib/xds/server-stream.ts';
import { metadataText } from './observer.ts';
import type { Push } from './push.ts';

/** Opens a channel for each type and keeps it filled. */
export function pushWaypointTypes(push: Push, types: readonly ScopedType[], waypoints: Collection<Waypoint>): void {
  for (const { resources, typeUrl } of types) {
    const channel = push.channel({ typeUrl, trigger: 'config', scopeOf: (peer) => scopeOf(peer, waypoints) });
    resources.subscribe((changes) => {
      for (const { after, before } of changes) {
        if (after !== undefined) channel.set(after.resource, after.scope);
        else if (before !== undefined) channel.remove(before.resource.name, before.scope);
      }
    });
  }
}

/** The Gateway a client belongs to; undefined for other clients, and for one that runs as somebody else. */
export function scopeOf(peer: Peer, waypoints: Collection<Waypoint>): string | undefined {
  const node = parseNodeId(peer.id);
  if (node === undefined || (node.type !== 'waypoint' && node.type !== 'router')) return undefined;
  const namespace = metadataText(peer, 'NAMESPACE') || node.namespace;
  const name = metadataText(peer, 'GATEWAY_NAME') || metadataText(peer, 'WORKLOAD_NAME');
  const waypoint = waypoints.get(`${namespace}/${name}`);
  if (waypoint === undefined) return undefined;
  // Empty where none is asked for, as on the plaintext port.
  if (peer.identity === '') return waypoint.key;
  const identity = parseIdentity(peer.identity);
  const own = identity?.namespace === waypoint.namespace && identity.serviceAccount === waypoint.serviceAccount;
  return own ? waypoint.key : undefined;
}
