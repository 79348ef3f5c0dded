// SPDX-License-Identifier: Apache-2.0
// What is known of a client's connection: who opened it and to what. Said once, read by all that judge, count and log its requests.
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { Member } from '../upstream/member.ts';
import type { ClientConnection } from '../upstream/proxy-header.ts';

/** What is behind a door. */
export type Behind =
  | { readonly kind: 'service'; readonly service: Service; readonly port: number }
  | { readonly kind: 'listener'; readonly table: string; readonly port: number }
  | { readonly kind: 'workload'; readonly member: Member; readonly port: number };

/** What the client's connection was opened to. */
export interface DoorRecord {
  readonly behind: Behind;
  readonly port: number;
  /** The service's key; '' if it is none. */
  readonly service: string;
  readonly settings: WaypointSettings;
}

export interface ConnectionRecord extends ClientConnection {
  readonly door: DoorRecord;
  /** Proven by the tunnel's certificate; undefined for plain text. */
  readonly identity: Identity | undefined;
  /** Who the client is, from the mesh. */
  readonly party: Party | undefined;
}
