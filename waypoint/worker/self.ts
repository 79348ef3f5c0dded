// SPDX-License-Identifier: Apache-2.0
// The proxy itself as a workload of the mesh: its record, or as much of one as its settings tell.
import { parseIdentity } from '#lib/mesh/identity.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import { UNKNOWN_WORKLOAD, type Workload } from '#lib/mesh/workload.ts';
import type { WorkerSettings } from '../control.ts';

export function selfOf(mesh: Pick<MeshView, 'workloadByAddress'>, settings: WorkerSettings): () => Workload {
  const ip = parseIp(settings.ip);
  const identity = parseIdentity(settings.identity);
  const unknown: Workload = {
    ...UNKNOWN_WORKLOAD,
    name: settings.gateway,
    namespace: identity?.namespace ?? '',
    serviceAccount: identity?.serviceAccount ?? '',
    trustDomain: settings.trustDomain,
    addresses: ip === undefined ? [] : [ip],
    network: settings.network,
    node: settings.nodeName,
    clusterId: settings.clusterId,
    workloadType: 'deployment',
  };
  return () => (ip === undefined ? undefined : mesh.workloadByAddress(settings.network, ip)) ?? unknown;
}
