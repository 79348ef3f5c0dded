// SPDX-License-Identifier: Apache-2.0
//
// The balancing of one connection in words: which endpoints were candidates, and what kept each other one out.

import { type BalanceRequest, candidateRank, reachable, sharesAll, sharesScope, targetPortOf } from './candidate.ts';
import type { Recorder } from './proof.ts';
import { describeService, type Endpoint, type Service } from './service.ts';
import { describeWorkload } from './workload.ts';

/** Endpoints named in a proof; the rest is counted. */
const PROOF_ENDPOINTS = 16;

/** How an endpoint stood in the choice. */
interface Standing {
  readonly outcome: string;
  readonly change: string;
}

/** @param best rank of the candidates, −1 when there are none */
export function proveCandidates(
  service: Service,
  endpoints: readonly Endpoint[],
  request: BalanceRequest,
  best: number,
  rec: Recorder,
): void {
  const { mode, scopes } = service.loadBalancing;
  const rule = mode === 'any' ? 'any of them' : `${mode} [${scopes.join(', ')}]`;
  const count = endpoints.filter((endpoint) => best >= 0 && candidateRank(service, endpoint, request) === best).length;
  rec.step(
    `Service ${describeService(service)}`,
    `port ${request.port}`,
    `endpoints, ${rule}`,
    endpoints.length === 0 ? 'it has no endpoint' : `${count} of ${endpoints.length} may be chosen`,
    endpoints.length === 0 ? "a Pod matches the Service's selector" : '',
  );
  for (const endpoint of endpoints.slice(0, PROOF_ENDPOINTS)) {
    const { outcome, change } = standingOf(service, endpoint, request, best);
    rec.step(`Workload ${describeWorkload(endpoint.workload)}`, '', '', outcome, change, 1);
  }
  if (endpoints.length > PROOF_ENDPOINTS) {
    rec.step('Endpoints', '', '', `${endpoints.length - PROOF_ENDPOINTS} more are not listed`, '', 1);
  }
}

function out(why: string, change: string): Standing {
  return { outcome: `left out: ${why}`, change };
}

function standingOf(service: Service, endpoint: Endpoint, request: BalanceRequest, best: number): Standing {
  const { workload } = endpoint;
  const { source } = request;
  const { mode, scopes, allowUnhealthy } = service.loadBalancing;
  if (!workload.healthy && !allowUnhealthy) return out('not ready', 'the Pod becomes Ready');
  if (workload.capacity <= 0) return out('its weight is 0', 'its weight is above 0');
  if (workload.network !== source.network && workload.networkGateway === undefined && !request.anyNetwork) {
    return out(
      `on network ${workload.network}, to which no gateway leads`,
      'an east-west gateway leads to that network',
    );
  }
  if (!reachable(workload, request)) return out('has neither address nor host name', 'it has an address');
  if (targetPortOf(service, endpoint, request.port) === 0) {
    return out(
      `no container port stands behind service port ${request.port}`,
      "the Pod has a container port of the name in the Service's targetPort",
    );
  }
  if (request.tried.includes(workload.uid)) return out('was tried for this connection already', '');
  if (mode === 'strict' && !sharesAll(scopes, source, workload)) {
    const scope = scopes.find((one) => !sharesScope(one, source, workload)) ?? 'scope';
    return out(`not in the client's ${scope}`, `an endpoint runs in the client's ${scope}`);
  }
  const place = `node ${workload.node === '' ? 'unknown' : workload.node}, weight ${workload.capacity}`;
  if (candidateRank(service, endpoint, request) < best) {
    return out(`farther away than others (${place})`, 'the nearer endpoints go away');
  }
  return { outcome: `may be chosen (${place})`, change: '' };
}
