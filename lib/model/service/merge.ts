// SPDX-License-Identifier: Apache-2.0
//
// Services of one name in several clusters are one service: its shape is that of the nearest definition, its
// addresses are those of all.

import type { Service as MeshService, Vip } from '#lib/mesh/service.ts';

/** One definition of a service. Lower ranks decide: the own cluster's Service, a ServiceEntry, other clusters' Services. */
export interface ServiceCandidate {
  readonly rank: 0 | 1 | 2;
  readonly service: MeshService;
}

/** @param candidates at least one, in the order of their keys; @param identities accepted beside those of endpoints */
export function mergeServices(
  candidates: readonly ServiceCandidate[],
  identities: readonly string[],
): MeshService | undefined {
  const base = candidates.reduce<ServiceCandidate | undefined>(
    (best, one) => (best === undefined || one.rank < best.rank ? one : best),
    undefined,
  )?.service;
  if (base === undefined || (candidates.length === 1 && identities.length === 0)) return base;
  const vips = new Map<string, Vip>();
  for (const { service } of candidates) {
    for (const vip of service.vips) vips.set(`${vip.network} ${vip.range}`, vip);
  }
  const names = new Set(candidates.flatMap(({ service }) => service.subjectAltNames));
  return {
    ...base,
    vips: [...vips].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, vip]) => vip),
    subjectAltNames: [...new Set([...names, ...identities])].sort(),
  };
}
