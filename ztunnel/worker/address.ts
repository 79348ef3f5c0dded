// SPDX-License-Identifier: Apache-2.0
// Between the kernel's way of naming an address (lib/linux) and the mesh's (lib/mesh): layers that do not know each other.
import { Endpoint } from '#lib/linux/address.ts';
import { type Ip, ip4, ip6 } from '#lib/mesh/ip.ts';

const MAPPED = 0xffff;

export function ipOf(endpoint: Endpoint): Ip {
  return endpoint.isV4 ? ip4(endpoint.d) : ip6(endpoint.a, endpoint.b, endpoint.c, endpoint.d);
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
