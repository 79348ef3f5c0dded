// SPDX-License-Identifier: Apache-2.0
// Where a client's connection came from and what it was opened to: known once for all its requests.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { CountedConnection, SeriesMemory } from '../worker/telemetry.ts';
import type { Door } from './door.ts';
import { LastPath } from './last-path.ts';

/** Endpoints whose series are remembered, of a generation; what is not is looked up by its labels. */
const MAX_COUNTED = 256;

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
  readonly series: SeriesMemory = new AgingMap({ most: MAX_COUNTED });

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
