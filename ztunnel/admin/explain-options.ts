// SPDX-License-Identifier: Apache-2.0
// With what the data plane of given settings decides, for explanations that decide as it does.

import { parseCidr } from '#lib/mesh/cidr.ts';
import type { ExplainOptions, NamedService } from '#lib/mesh/explain.ts';
import type { MeshListing } from '#lib/mesh/view.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { WorkerSettings } from '../control.ts';
import { answerQuestion, type DnsOptions, type DnsView } from '../dns/answer.ts';
import { dnsOptionsOf } from '../dns/options.ts';

export function explainOptions(settings: WorkerSettings): ExplainOptions {
  const { network, unknownAddress, podLimits } = settings;
  return {
    podLimits,
    outbound: {
      network,
      clusterRanges: unknownAddress.clusterRanges.flatMap((range) => parseCidr(range) ?? []),
      unknownCluster: unknownAddress.outcome,
    },
    resolve: resolver(dnsOptionsOf(settings)),
  };
}

/** For single questions: every service is looked at. */
export function dnsViewOf(mesh: MeshListing): DnsView {
  return {
    servicesOfHostname: (hostname) => [...mesh.services()].filter((service) => service.hostname === hostname),
    endpoints: (service) => mesh.endpoints(service),
  };
}

/** Names as the proxy's own DNS answers them. */
export function resolver(dns: DnsOptions): ExplainOptions['resolve'] {
  return (mesh: MeshListing, client: Workload, name: string): NamedService | undefined => {
    const view = dnsViewOf(mesh);
    for (const type of ['A', 'AAAA'] as const) {
      const answer = answerQuestion(view, { name: name.toLowerCase(), type, client }, dns, () => 0);
      if (answer.kind === 'forward' || answer.addresses.length === 0) continue;
      return { ip: answer.addresses[0]!, service: answer.service.key };
    }
    return undefined;
  };
}
