// SPDX-License-Identifier: Apache-2.0
//
// Which service a client means where several claim the same name or address; one rule for the main process's mesh and for that of
// data-plane processes. What its namespace may not see is never meant.

import type { Ip } from './ip.ts';
import { type Service, visibleTo } from './service.ts';

/** Ranks of a range: the client's own namespace comes before the longest prefix, and that before being canonical. */
const OWN_NAMESPACE = 1024;

/** Own namespace, then canonical, then first. */
export function preferredService(candidates: readonly Service[] | undefined, namespace: string): Service | undefined {
  if (candidates === undefined) return undefined;
  let canonical: Service | undefined;
  let first: Service | undefined;
  for (const candidate of candidates) {
    if (!visibleTo(candidate, namespace)) continue;
    if (candidate.namespace === namespace) return candidate;
    first ??= candidate;
    if (candidate.canonical) canonical ??= candidate;
  }
  return canonical ?? first;
}

/** Of those with ranges of addresses, the one in whose range `ip` is. */
export function serviceByRange(
  candidates: Iterable<Service>,
  network: string,
  ip: Ip,
  namespace: string,
): Service | undefined {
  let best: Service | undefined;
  let bestRank = -1;
  for (const service of candidates) {
    if (!visibleTo(service, namespace)) continue;
    for (const vip of service.vips) {
      if (vip.network !== network || vip.range.host || !vip.range.contains(ip)) continue;
      const own = service.namespace === namespace ? OWN_NAMESPACE : 0;
      const rank = own + vip.range.length * 2 + (service.canonical ? 1 : 0);
      if (rank <= bestRank) continue;
      best = service;
      bestRank = rank;
    }
  }
  return best;
}
