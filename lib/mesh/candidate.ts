// SPDX-License-Identifier: Apache-2.0
//
// Which endpoints of a service may take a connection, and how near each is to the client.

import { type Endpoint, portOf, type Scope, type Service } from './service.ts';
import { mappedPort, type Workload, type WorkloadUid } from './workload.ts';

/** What an endpoint is chosen for. */
export interface BalanceRequest {
  readonly source: Workload;
  /** The service's port. */
  readonly port: number;
  /** Endpoints tried before for the same connection; they are left out. */
  readonly tried: readonly WorkloadUid[];
  /** Waypoints may lack the port on the service when the endpoint has an application tunnel. */
  readonly portMayBeMissing: boolean;
  /** A network's gateway is dialled at its address, whichever network that is counted to. */
  readonly anyNetwork: boolean;
}

/** The port to dial on an endpoint, 0 when it has none for this service port. */
export function targetPortOf(service: Service, endpoint: Endpoint, port: number): number {
  const own = mappedPort(endpoint.ports, port);
  if (own !== undefined) return own;
  const shared = portOf(service, port)?.targetPort ?? 0;
  if (shared !== 0) return shared;
  const tunnel = endpoint.workload.applicationTunnel;
  return tunnel !== undefined && tunnel.port !== 0 ? port : 0;
}

/** Whether there is any way to reach the endpoint from the source's network. */
export function reachable(
  workload: Workload,
  { source, anyNetwork }: Pick<BalanceRequest, 'source' | 'anyNetwork'>,
): boolean {
  if (workload.network !== source.network && !anyNetwork) return workload.networkGateway !== undefined;
  return workload.addresses.length > 0 || workload.hostname !== '';
}

export function sharesScope(scope: Scope, source: Workload, workload: Workload): boolean {
  switch (scope) {
    case 'region':
      return source.locality.region === workload.locality.region;
    case 'zone':
      return source.locality.zone === workload.locality.zone;
    case 'subzone':
      return source.locality.subzone === workload.locality.subzone;
    case 'node':
      return source.node === workload.node;
    case 'cluster':
      return source.clusterId === workload.clusterId;
    case 'network':
      return source.network === workload.network;
  }
}

/**
 * How near an endpoint is: the number of leading scopes it shares. A leading NETWORK scope does not end the count when
 * it differs, and outweighs all others when it is shared, so that remote endpoints still rank among themselves.
 */
export function rankOf(scopes: readonly Scope[], source: Workload, workload: Workload): number {
  let rank = 0;
  for (let i = 0; i < scopes.length; i++) {
    const scope = scopes[i]!;
    const leadingNetwork = i === 0 && scope === 'network';
    if (sharesScope(scope, source, workload)) rank += leadingNetwork ? scopes.length : 1;
    else if (!leadingNetwork) break;
  }
  return rank;
}

export function sharesAll(scopes: readonly Scope[], source: Workload, workload: Workload): boolean {
  for (const scope of scopes) if (!sharesScope(scope, source, workload)) return false;
  return true;
}

/** Rank of a candidate, −1 for an endpoint that is none. */
export function candidateRank(service: Service, endpoint: Endpoint, request: BalanceRequest): number {
  const { workload } = endpoint;
  const { mode, scopes, allowUnhealthy } = service.loadBalancing;
  if (!workload.healthy && !allowUnhealthy) return -1;
  if (workload.capacity <= 0 || !reachable(workload, request)) return -1;
  if (targetPortOf(service, endpoint, request.port) === 0 || request.tried.includes(workload.uid)) return -1;
  if (mode === 'any' || mode === 'passthrough') return 0;
  if (mode === 'strict' && !sharesAll(scopes, request.source, workload)) return -1;
  return rankOf(scopes, request.source, workload);
}
