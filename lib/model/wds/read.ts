// SPDX-License-Identifier: Apache-2.0
//
// Small readers shared by the WDS decoders. Each reports to a list of problems under the field's path and returns a
// harmless value, so that one pass over a message finds everything wrong with it.

import type { Problem } from '#lib/kit/result.ts';
import { Cidr } from '#lib/mesh/cidr.ts';
import type { GatewayAddress } from '#lib/mesh/gateway-address.ts';
import { type Ip, ip4, ipFromBytes } from '#lib/mesh/ip.ts';
import type { GatewayAddress as GatewayMessage } from '#lib/proto/gen/workload_pb.ts';

const NOWHERE: Ip = ip4(0);

export function readIp(bytes: Uint8Array, field: string, problems: Problem[]): Ip {
  const ip = ipFromBytes(bytes);
  if (ip !== undefined) return ip;
  problems.push({ field, message: `an address has ${bytes.length} bytes`, fix: 'send 4 or 16 bytes' });
  return NOWHERE;
}

/** @param length prefix length; undefined means the whole address */
export function readRange(bytes: Uint8Array, length: number | undefined, field: string, problems: Problem[]): Cidr {
  const ip = readIp(bytes, field, problems);
  // The wire counts bits of the bytes sent: a mapped IPv4 address arrives as 16 bytes.
  const mapped = bytes.length === 16 && ip.family === 4 ? 96 : 0;
  const full = ip.family === 4 ? 32 : 128;
  const bits = length === undefined ? full : length - mapped;
  if (bits >= 0 && bits <= full) return new Cidr(ip, bits);
  problems.push({ field, message: `prefix length ${length} does not fit an IPv${ip.family} address` });
  return new Cidr(ip, full);
}

/** The name of an enum's number. */
export function readEnum<T>(names: readonly (T | undefined)[], value: number, field: string, problems: Problem[]): T {
  const name = names[value];
  if (name !== undefined) return name;
  problems.push({ field, message: `value ${value} is not known here` });
  return names.find((one) => one !== undefined)!;
}

export function readGateway(
  message: GatewayMessage | undefined,
  field: string,
  problems: Problem[],
): GatewayAddress | undefined {
  if (message === undefined) return undefined;
  const { destination, hboneMtlsPort: hbonePort } = message;
  switch (destination.case) {
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      return { destination: { kind: 'hostname', namespace, hostname }, hbonePort };
    }
    case 'address': {
      const { network, address } = destination.value;
      return { destination: { kind: 'ip', network, ip: readIp(address, `${field}.address`, problems) }, hbonePort };
    }
    case undefined:
      problems.push({ field, message: 'has no destination', fix: 'set hostname or address' });
      return undefined;
  }
}
