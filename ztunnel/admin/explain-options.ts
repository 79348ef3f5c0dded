// SPDX-License-Identifier: Apache-2.0
// With what the data plane of given settings decides, for explanations that decide as it does.

import { parseCidr } from '#lib/mesh/cidr.ts';
import type { ExplainOptions, NamedService } from '#lib/mesh/explain.ts';
import type { MeshListing } from '#lib/mesh/view.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { WorkerSettings } from '../control.ts';
import { answerQuestion, type DnsOptions } from '../dns/answer.ts';

export function explainOptions(settings: WorkerSettings): ExplainOptions {
  const { network, unknownAddress, dns, clusterDomain, ipv6, podLimits } = settings;
  return {
    podLimits,
    outbound: {
      network,
      clusterRanges: unknownAddress.clusterRanges.flatMap((range) => parseCidr(range) ?? []),
      unknownCluster: unknownAddress.outcome,
    },
    resolve: resolver({
      clusterDomain,
      network,
      ipv6,
      preferredNamespace: dns.preferredServiceNamespace ?? undefined,
      searchDomains: dns.searchDomains ?? undefined,
    }),
  };
}

/** Names as the proxy's own DNS answers them. */
export function resolver(dns: DnsOptions): ExplainOptions['resolve'] {
  return (mesh: MeshListing, client: Workload, name: string): NamedService | undefined => {
    const view = {
      servicesOfHostname: (hostname: string) => [...mesh.services()].filter((service) => service.hostname === hostname),
      endpoints: (service: Parameters<MeshListing['endpoints']>[0]) => mesh.endpoints(service),
    };
    for (const type of ['A', 'AAAA'] as const) {
      const answer = answerQuestion(view, { name: name.toLowerCase(), type, client }, dns, () => 0);
      if (answer.kind === 'forward' || answer.addresses.length === 0) continue;
      return { ip: answer.addresses[0]!, service: answer.service.key };
    }
    return undefined;
  };
}
