// SPDX-License-Identifier: Apache-2.0
//
// From the address of a waypoint or an east-west gateway to the workload, address and port to dial. Both are named
// the same way; a gateway's port must exist on its service, a waypoint's may be missing when an application tunnel
// stands in.

import { type BalanceFailure, chooseEndpoint, type Random } from './balance.ts';
import { type BalanceRequest, targetPortOf } from './candidate.ts';
import { endpointIp } from './endpoint-ip.ts';
import { describeGateway, type GatewayAddress } from './gateway-address.ts';
import type { Ip } from './ip.ts';
import type { Recorder } from './proof.ts';
import type { Service } from './service.ts';
import type { Target } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, identityOf, type Workload, type WorkloadUid } from './workload.ts';

/** Who asks for a gateway, and for which connection. */
export interface GatewayRequest {
  readonly source: Workload;
  /** The address the client dialled: its family is preferred when the gateway is named by host name. */
  readonly dialled: Ip;
  readonly tried: readonly WorkloadUid[];
  readonly role: 'waypoint' | 'gateway';
}

export interface ResolvedGateway {
  readonly workload: Workload;
  readonly service: Service | undefined;
  readonly target: Target;
}

/** `unknown`: nothing of that name or address is known. Otherwise its service has nobody to send to. */
export type GatewayFailure = 'unknown' | BalanceFailure;

export function resolveGateway(
  view: MeshView,
  address: GatewayAddress,
  request: GatewayRequest,
  random: Random,
  rec: Recorder,
): ResolvedGateway | GatewayFailure {
  const { destination, hbonePort } = address;
  const byIp = destination.kind === 'ip';
  const service = byIp
    ? view.serviceByAddress(destination.network, destination.ip, request.source.namespace)
    : view.service(`${destination.namespace}/${destination.hostname}`);
  const dialled = byIp ? destination.ip : request.dialled;
  if (service !== undefined) {
    const ask: BalanceRequest = {
      source: request.source,
      port: hbonePort,
      tried: request.tried,
      portMayBeMissing: request.role === 'waypoint',
      anyNetwork: request.role === 'gateway',
    };
    const endpoint = chooseEndpoint(view, service, ask, random, rec);
    if (typeof endpoint === 'string') return endpoint;
    const { workload } = endpoint;
    return {
      workload,
      service,
      target: targetOf(workload, dialled, service, targetPortOf(service, endpoint, hbonePort)),
    };
  }
  const workload = byIp
    ? view.workloadByAddress(destination.network, destination.ip)
    : view.workloadByHostname(destination.namespace, destination.hostname);
  if (workload === undefined) {
    if (rec.enabled) {
      rec.step(
        request.role === 'waypoint' ? 'Waypoint' : 'Network gateway',
        '',
        describeGateway(address),
        'not known as a service or a workload',
        'its Gateway exists, is programmed, and has an address',
      );
    }
    return 'unknown';
  }
  if (request.tried.includes(workload.uid)) {
    if (rec.enabled)
      rec.step(`Workload ${describeWorkload(workload)}`, '', '', 'was tried for this connection already');
    return 'no-endpoint';
  }
  if (rec.enabled) {
    rec.step(
      request.role === 'waypoint' ? 'Waypoint' : 'Network gateway',
      '',
      describeGateway(address),
      `is workload ${describeWorkload(workload)}`,
    );
  }
  return { workload, service: undefined, target: targetOf(workload, dialled, undefined, hbonePort) };
}

function targetOf(workload: Workload, dialled: Ip, service: Service | undefined, port: number): Target {
  const ip = endpointIp(workload, dialled, service === undefined ? 'automatic' : service.ipFamilies);
  return { ip, hostname: ip === undefined ? workload.hostname : '', port };
}

/** Whether `source` is the waypoint itself (any of its replicas), whose traffic must not come back to it. */
export function isGatewayItself(view: MeshView, source: Workload, address: GatewayAddress): boolean {
  const { destination } = address;
  if (destination.kind === 'ip') {
    const service = view.serviceByAddress(destination.network, destination.ip, source.namespace);
    if (service !== undefined) return view.endpointOf(service, source) !== undefined;
    const owner = view.workloadByAddress(destination.network, destination.ip);
    return owner?.uid === source.uid;
  }
  const service = view.service(`${destination.namespace}/${destination.hostname}`);
  if (service !== undefined) return view.endpointOf(service, source) !== undefined;
  return view.workloadByHostname(destination.namespace, destination.hostname)?.uid === source.uid;
}

/** Identities of which the gateway's certificate must carry one. */
export function gatewayIdentities({ workload, service }: ResolvedGateway): readonly string[] {
  const own = identityOf(workload).uri;
  return service === undefined || service.subjectAltNames.length === 0 ? [own] : [...service.subjectAltNames, own];
}
