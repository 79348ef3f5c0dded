// SPDX-License-Identifier: Apache-2.0
//
// Which endpoint of a service takes the connection. Two walks over the endpoints and no list in between: the first
// finds the best rank and its total weight, the second picks. Chance comes in as a parameter.

import { proveCandidates } from './balance-proof.ts';
import { type BalanceRequest, candidateRank, reachable, targetPortOf } from './candidate.ts';
import type { Recorder } from './proof.ts';
import { describeService, type Endpoint, portOf, type Service } from './service.ts';
import type { MeshView } from './view.ts';
import { describeWorkload } from './workload.ts';

/** Uniform in [0, 1). */
export type Random = () => number;

/** Why no endpoint could be chosen. */
export type BalanceFailure = 'unknown-port' | 'no-endpoint' | 'no-healthy-endpoint' | 'no-local-endpoint';

/** Draws one endpoint of the service by rank and weight. */
export function chooseEndpoint(
  view: MeshView,
  service: Service,
  request: BalanceRequest,
  random: Random,
  rec: Recorder,
): Endpoint | BalanceFailure {
  const endpoints = view.endpoints(service);
  if (portOf(service, request.port) === undefined && !request.portMayBeMissing) {
    if (rec.enabled) {
      const ports = service.ports.map((port) => port.servicePort).join(', ');
      rec.step(
        `Service ${describeService(service)}`,
        `port ${request.port}`,
        'ports of the service',
        `${request.port} is none of them (${ports === '' ? 'it has none' : ports})`,
        `the client dials one of those, or the Service gets port ${request.port}`,
      );
    }
    return 'unknown-port';
  }
  let best = -1;
  let total = 0;
  for (const endpoint of endpoints) {
    const rank = candidateRank(service, endpoint, request);
    if (rank < best || rank < 0) continue;
    if (rank > best) {
      best = rank;
      total = 0;
    }
    total += endpoint.workload.capacity;
  }
  if (rec.enabled) proveCandidates(service, endpoints, request, best, rec);
  if (total === 0) return failureOf(service, endpoints, request);
  let ticket = random() * total;
  let chosen: Endpoint | undefined;
  for (const endpoint of endpoints) {
    if (candidateRank(service, endpoint, request) !== best) continue;
    chosen = endpoint;
    ticket -= endpoint.workload.capacity;
    if (ticket < 0) break;
  }
  if (rec.enabled && chosen !== undefined && total > chosen.workload.capacity) {
    rec.step(`Workload ${describeWorkload(chosen.workload)}`, '', '', 'drawn by weight', '', 1);
  }
  return chosen ?? 'no-endpoint';
}

/** The most telling reason why there was no candidate. */
function failureOf(service: Service, endpoints: readonly Endpoint[], request: BalanceRequest): BalanceFailure {
  let usable = false;
  let healthy = false;
  for (const endpoint of endpoints) {
    const { workload } = endpoint;
    if (targetPortOf(service, endpoint, request.port) === 0) continue;
    if (workload.capacity <= 0 || !reachable(workload, request)) continue;
    usable = true;
    if (workload.healthy || service.loadBalancing.allowUnhealthy) healthy = true;
  }
  if (!usable) return 'no-endpoint';
  if (!healthy) return 'no-healthy-endpoint';
  return service.loadBalancing.mode === 'strict' ? 'no-local-endpoint' : 'no-endpoint';
}
