// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol towards servers (haproxy.org, proxy-protocol.txt): who the client is, said before anything else on a connection,
// inside the tunnel and before TLS. A connection that tells of one client carries requests of no other.
import type { Ip } from '#lib/mesh/ip.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import type { Link } from '#lib/net/http/link.ts';
import type { DialOutcome } from '#lib/net/http/upstream.ts';
import { type Endpoint, encodeProxyV2 } from '#lib/wire/proxy-v2.ts';

/** Both ends of a client's connection. */
export interface ClientConnection {
  readonly sourceIp: Ip;
  /** `ip:port`, as of all texts here. */
  readonly sourceText: string;
  readonly destinationIp: Ip;
  readonly destinationText: string;
}

/** 1 or 2 of the protocol. `origin` is undefined for what the proxy asks by itself. */
export function proxyHeader(version: number, origin: ClientConnection | undefined): Buffer {
  if (origin === undefined)
    return version === 1 ? Buffer.from('PROXY UNKNOWN\r\n') : encodeProxyV2({ addresses: null, tlvs: [] });
  const source = { ip: origin.sourceIp.text, port: portIn(origin.sourceText) };
  const destination = { ip: origin.destinationIp.text, port: portIn(origin.destinationText) };
  return version === 1
    ? version1(source, destination)
    : encodeProxyV2({ addresses: { source, destination }, tlvs: [] });
}

/** Section 2.1: one family for both addresses. */
function version1(source: Endpoint, destination: Endpoint): Buffer {
  const v6 = [source, destination].some(({ ip }) => ip.includes(':'));
  const text = (ip: string): string => (v6 && !ip.includes(':') ? `::ffff:${ip}` : ip);
  const family = v6 ? 'TCP6' : 'TCP4';
  return Buffer.from(
    `PROXY ${family} ${text(source.ip)} ${text(destination.ip)} ${source.port} ${destination.port}\r\n`,
  );
}

function portIn(text: string): number {
  const port = Number(text.slice(text.lastIndexOf(':') + 1));
  return Number.isInteger(port) ? port : 0;
}

/** Says `header` first on whatever connection is made. */
export function headerFirst(bench: HttpBench, header: Buffer, outcome: DialOutcome): DialOutcome {
  return {
    onLink: (link: Link, localAddress: string): void => {
      bench.cork.write(link, header, 0, header.length);
      bench.cork.flushOf(link);
      outcome.onLink(link, localAddress);
    },
    onNoLink: (cause: string): void => outcome.onNoLink(cause),
  };
}
