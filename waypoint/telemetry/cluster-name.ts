// SPDX-License-Identifier: Apache-2.0
// The name that logs and spans give to where a request went, as Istio's proxies have it.
import type { RequestRecord } from '../record/request.ts';

/** '' when it went nowhere. */
export function clusterName({
  cluster,
  isStream,
  origin,
}: Pick<RequestRecord, 'cluster' | 'isStream' | 'origin'>): string {
  if (cluster === null) return '';
  const { port, service, subset } = cluster.target;
  const own = origin.door.service === service;
  return `${own ? 'inbound-vip' : 'outbound'}|${port}|${own ? (isStream ? 'tcp' : 'http') : ''}${subset}|${service.slice(service.indexOf('/') + 1)}`;
}
