// SPDX-License-Identifier: Apache-2.0
// The proxy itself as a workload of the mesh: its record, or as much of one as its settings tell.
import { parseIdentity } from '#lib/mesh/identity.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import { NO_LOCALITY, type Workload } from '#lib/mesh/workload.ts';
import type { WorkerSettings } from '../control.ts';

export function selfOf(mesh: Pick<MeshView, 'workloadByAddress'>, settings: WorkerSettings): () => Workload {
  const ip = parseIp(settings.ip);
  const identity = parseIdentity(settings.identity);
  const unknown: Workload = {
    uid: '',
    name: settings.gateway,
    namespace: identity?.namespace ?? '',
    serviceAccount: identity?.serviceAccount ?? '',
    trustDomain: settings.trustDomain,
    addresses: ip === undefined ? [] : [ip],
    hostname: '',
    network: settings.network,
    protocol: 'none',
    waypoint: undefined,
    networkGateway: undefined,
    node: settings.nodeName,
    clusterId: settings.clusterId,
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'deployment',
    workloadName: '',
    nativeTunnel: false,
    applicationTunnel: undefined,
    services: new Map(),
    authorizationPolicies: [],
    healthy: true,
    locality: NO_LOCALITY,
    hostNetwork: false,
    capacity: 1,
    sameNodeTunnel: false,
    httpMetrics: false,
  };
  return () => (ip === undefined ? undefined : mesh.workloadByAddress(settings.network, ip)) ?? unknown;
}
