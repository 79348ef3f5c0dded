// SPDX-License-Identifier: Apache-2.0
//
// Which of a workload's addresses to dial.

import type { Ip } from './ip.ts';
import type { IpFamilies } from './service.ts';
import type { Workload } from './workload.ts';

/**
 * The address dialled if the workload owns it; else the first allowed one of the dialled family; else the first
 * allowed one.
 * @param dialled what the client dialled, or the address a gateway was named by
 * @param families the service's restriction, `automatic` for none
 */
export function endpointIp(workload: Workload, dialled: Ip, families: IpFamilies): Ip | undefined {
  let sameFamily: Ip | undefined;
  let first: Ip | undefined;
  for (const ip of workload.addresses) {
    if (ip.equals(dialled)) return ip;
    if ((families === 'ipv4' && ip.family !== 4) || (families === 'ipv6' && ip.family !== 6)) continue;
    first ??= ip;
    if (ip.family === dialled.family) sameFamily ??= ip;
  }
  return sameFamily ?? first;
}
