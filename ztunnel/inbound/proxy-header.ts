// SPDX-License-Identifier: Apache-2.0
// A program behind an application tunnel is told in a PROXY header who is talking to it and whom they meant: the tunnel ended here, so
// its own socket shows neither.
import type { Socket } from '#lib/net/socket.ts';
import type { Workbench } from '#lib/net/workbench.ts';
import { type Endpoint, encodeProxyV2, TLV_SOURCE_IDENTITY } from '#lib/wire/proxy-v2.ts';

export interface ProxyFacts {
  /** The peer of the tunnel's connection. */
  readonly source: Endpoint;
  /** What the CONNECT named; for a host name, a virtual address of it. */
  readonly destination: Endpoint;
  /** SPIFFE URI, '' for none. */
  readonly identity: string;
}

/** Writes the header to a socket that nothing was written to before, so that it fits. False: it did not, the program is gone. */
export function sendProxyHeader({ staging }: Workbench, socket: Socket, facts: ProxyFacts): boolean {
  const { source, destination, identity } = facts;
  const tlvs = identity === '' ? [] : [{ type: TLV_SOURCE_IDENTITY, value: Buffer.from(identity) }];
  const header = encodeProxyV2({ addresses: { source, destination }, tlvs });
  header.copy(staging.bytes, 0);
  return socket.send(staging, 0, header.length) === header.length;
}
