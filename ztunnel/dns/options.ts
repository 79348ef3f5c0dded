// SPDX-License-Identifier: Apache-2.0
// How names are looked up under a node proxy's settings.
import type { WorkerSettings } from '../control.ts';
import type { DnsOptions } from './answer.ts';

export function dnsOptionsOf({ clusterDomain, dns, ipv6, network }: WorkerSettings): DnsOptions {
  return {
    ...{ clusterDomain, ipv6, network },
    preferredNamespace: dns.preferredServiceNamespace ?? undefined,
    searchDomains: dns.searchDomains ?? undefined,
  };
}
