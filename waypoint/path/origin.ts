// SPDX-License-Identifier: Apache-2.0
// Where a client's connection came from and what it was opened to: known once for all its requests.
import type { Identity } from '#lib/mesh/identity.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { Member } from '../upstream/member.ts';
import type { CountedConnection, RequestSeries } from '../worker/telemetry.ts';
import type { Door } from './door.ts';
import { LastPath } from './last-path.ts';

export class Origin implements CountedConnection {
  readonly door: Door;
  /** Proven by the tunnel's certificate; undefined for plain text. */
  readonly identity: Identity | undefined;
  readonly sourceIp: Ip;
  /** `ip:port` of both ends, as logs tell them. */
  readonly sourceText: string;
  readonly destinationIp: Ip;
  readonly destinationText: string;
  /** Who the client is, from the mesh. */
  readonly party: Party | undefined;
  /** What was found out about the last request's path: the next one mostly has the same. */
  readonly lastPath = new LastPath();
  /** Series of requests from here, by where they went. */
  readonly series = new Map<Member | null, Map<string, RequestSeries>>();

  constructor(
    door: Door,
    identity: Identity | undefined,
    source: { readonly ip: Ip; readonly text: string },
    destination: { readonly ip: Ip; readonly text: string },
    party: Party | undefined,
  ) {
    this.door = door;
    this.identity = identity;
    this.sourceIp = source.ip;
    this.sourceText = source.text;
    this.destinationIp = destination.ip;
    this.destinationText = destination.text;
    this.party = party;
  }
}
