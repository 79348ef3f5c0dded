// SPDX-License-Identifier: Apache-2.0
// The keys of the shared mesh store. The main process is its only writer, the data-plane processes read it.
//
//   record keys                                       index keys, whose values are lists of record names, one a line
//   w/<uid>                 a workload                 a/<network>/<ip>              the workload that owns the address (one uid)
//   s/<namespace>/<host>    a service                  l/<namespace>/<name>/<sa>     workloads of this node with that name
//   p/<namespace>/<name>    a policy                   o/<namespace>/<hostname>      workloads of that host name
//                                                      v/<network>/<ip>              services with that exact virtual address
//   r                       services with a range      h/<hostname>                  services of that host name
//   g                       global policies            e/<namespace>/<host>          endpoints of the service (uids)
//   n/<namespace>           its namespace policies
//
// A record is written before the index entries that lead to it and removed after them; a reader that finds a name without its
// record leaves it out. When a workload changes, the endpoint lists it stands in are written again, so that a reader may
// trust a list it has resolved for as long as the list's own record has not changed.
import type { Ip } from '#lib/mesh/ip.ts';

export const RANGES_KEY = 'r';
export const GLOBAL_POLICIES_KEY = 'g';

export const workloadKey = (uid: string): string => `w/${uid}`;
export const serviceRecordKey = (key: string): string => `s/${key}`;
export const policyRecordKey = (key: string): string => `p/${key}`;
export const addressKey = (network: string, ip: Ip): string => `a/${network}/${ip.text}`;
export const localKey = (namespace: string, name: string, serviceAccount: string): string =>
  `l/${namespace}/${name}/${serviceAccount}`;
export const ownHostnameKey = (namespace: string, hostname: string): string => `o/${namespace}/${hostname}`;
export const vipKey = (network: string, ip: Ip): string => `v/${network}/${ip.text}`;
export const hostnameKey = (hostname: string): string => `h/${hostname}`;
export const endpointsKey = (key: string): string => `e/${key}`;
export const namespacePoliciesKey = (namespace: string): string => `n/${namespace}`;
