// SPDX-License-Identifier: Apache-2.0
// Between the kernel's way of naming an address (lib/linux) and the mesh's (lib/mesh): layers that do not know each other.
import { Endpoint } from '#lib/linux/address.ts';
import { type Ip, ip4, ip6 } from '#lib/mesh/ip.ts';

const MAPPED = 0xffff;

export function ipOf(endpoint: Endpoint): Ip {
  return endpoint.isV4 ? ip4(endpoint.d) : ip6(endpoint.a, endpoint.b, endpoint.c, endpoint.d);
}

const REMEMBERED = 256;

/**
 * The addresses seen last, each as one value with its text: a pod's connections have few, and every connection keeps two
 * for its whole life.
 */
export class IpMemory {
  readonly #known: (Ip | undefined)[] = new Array(REMEMBERED).fill(undefined);

  of(endpoint: Endpoint): Ip {
    const { a, b, c, d, isV4 } = endpoint;
    const at = (d ^ (d >>> 8) ^ (d >>> 16)) & (REMEMBERED - 1);
    const known = this.#known[at];
    if (known !== undefined && known.d === (d | 0)) {
      if (isV4 ? known.family === 4 : sameWords(known, a, b, c)) return known;
    }
    const ip = ipOf(endpoint);
    this.#known[at] = ip;
    return ip;
  }
}

function sameWords(ip: Ip, a: number, b: number, c: number): boolean {
  return ip.family === 6 && ip.c === (c | 0) && ip.b === (b | 0) && ip.a === (a | 0);
}

export function endpointOf(ip: Ip, port: number): Endpoint {
  const endpoint = new Endpoint();
  if (ip.family === 6) {
    endpoint.a = ip.a >>> 0;
    endpoint.b = ip.b >>> 0;
    endpoint.c = ip.c >>> 0;
  } else {
    endpoint.a = endpoint.b = 0;
    endpoint.c = MAPPED;
  }
  endpoint.d = ip.d >>> 0;
  endpoint.port = port;
  return endpoint;
}
