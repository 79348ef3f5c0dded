// SPDX-License-Identifier: Apache-2.0
//
// May this CONNECT be delivered here, and to which port? The tunnel ended at an address of the local pod; the
// authority names that address, a host name, or something the pod stands in front of as a waypoint. Whether the peer
// is allowed in is authorize.ts's question, asked afterwards with the port found here.

import { targetPortOf } from './candidate.ts';
import type { GatewayAddress } from './gateway-address.ts';
import type { Ip } from './ip.ts';
import type { Recorder } from './proof.ts';
import { describeService, portOf, type Service } from './service.ts';
import type { InboundReason, InboundVerdict } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, mappedPort, type PortMapping, type Workload } from './workload.ts';

/** The proxy's own ports, never a destination: traffic to them would come back here. */
export const ILLEGAL_PORTS: readonly number[] = [15001, 15006, 15008];

/** `ip:port` or `hostname:port` of a CONNECT; exactly one of `ip` and `hostname` is set. */
export interface Authority {
  readonly ip: Ip | undefined;
  readonly hostname: string;
  readonly port: number;
}

export interface InboundRequest {
  readonly local: Workload;
  /** The address the tunnel's connection came to. */
  readonly connectedIp: Ip;
  readonly authority: Authority;
  /** The network that every address this proxy sees belongs to. */
  readonly network: string;
}

export function resolveInbound(view: MeshView, request: InboundRequest, rec: Recorder): InboundVerdict {
  const { authority } = request;
  return authority.ip === undefined
    ? toHostname(view, request, authority.hostname, rec)
    : toAddress(view, request, authority.ip, rec);
}

function refuse(reason: InboundReason, status: 400 | 503, subject: string, missing = ''): InboundVerdict {
  return { kind: 'refuse', reason, status, subject, missing };
}

function toAddress(view: MeshView, request: InboundRequest, ip: Ip, rec: Recorder): InboundVerdict {
  const { local, connectedIp, authority } = request;
  let reason: InboundReason = 'own-address';
  if (!ip.equals(connectedIp)) {
    if (local.applicationTunnel !== undefined) reason = 'application-tunnel';
    else if (standsInFrontOf(view, request, ip)) reason = 'attached-waypoint';
    else {
      if (rec.enabled) {
        rec.step(
          `Authority ${ip.withPort(authority.port)}`,
          '',
          `the tunnel came to ${connectedIp.text}, workload ${describeWorkload(local)}`,
          'refused with 400: it is neither its address nor anything it is the waypoint of',
          'the sender dials the address it names, or this workload is bound as the waypoint of it',
        );
      }
      return refuse('not-our-destination', 400, `${connectedIp.text} != ${ip.text}`, missingOf(view, request, ip));
    }
  }
  if (rec.enabled) rec.step(`Authority ${ip.withPort(authority.port)}`, '', '', REASON_TEXT[reason]);
  return deliver(request, reason, authority.port, ip, undefined, rec);
}

const REASON_TEXT: Record<InboundReason, string> = {
  'own-address': 'is the address the tunnel came to',
  'application-tunnel': 'is taken, since the workload has an application tunnel',
  'attached-waypoint': 'has this workload as its waypoint',
  hostname: 'is a known host name',
  'not-our-destination': 'is not served here',
  'unknown-hostname': 'is not known',
  'unknown-port': 'has no such port',
  'illegal-port': "is one of the proxy's own ports",
  'no-virtual-address': 'has no virtual address to tell the program',
};

/** Whether the address belongs to a service or workload whose waypoint is the local workload. */
function standsInFrontOf(view: MeshView, request: InboundRequest, ip: Ip): boolean {
  const { local, network } = request;
  const workload = view.workloadByAddress(network, ip);
  if (workload?.waypoint !== undefined && isWaypoint(view, request, workload.waypoint)) return true;
  const service = view.serviceByAddress(network, ip, local.namespace);
  if (service === undefined) return false;
  if (service.waypoint !== undefined && isWaypoint(view, request, service.waypoint)) return true;
  // Istio overlooks the weighted ones here; its clients draw them nevertheless.
  return service.weightedWaypoints.some((one) => one.weight > 0 && isWaypoint(view, request, one.address));
}

/** The address, when nobody here knows whose it is. */
function missingOf(view: MeshView, { local, network }: InboundRequest, ip: Ip): string {
  const known =
    view.workloadByAddress(network, ip) !== undefined ||
    view.serviceByAddress(network, ip, local.namespace) !== undefined;
  return known ? '' : `${network}/${ip.text}`;
}

function isWaypoint(view: MeshView, { local, connectedIp }: InboundRequest, address: GatewayAddress): boolean {
  const { destination } = address;
  const byIp = destination.kind === 'ip';
  const service = byIp
    ? view.serviceByAddress(destination.network, destination.ip, local.namespace)
    : view.service(`${destination.namespace}/${destination.hostname}`);
  if (service !== undefined) return view.endpointOf(service, local) !== undefined;
  const owner = byIp
    ? view.workloadByAddress(destination.network, destination.ip)
    : view.workloadByHostname(destination.namespace, destination.hostname);
  return owner?.addresses.some((ip) => ip.equals(connectedIp)) === true;
}

function toHostname(view: MeshView, request: InboundRequest, hostname: string, rec: Recorder): InboundVerdict {
  const { local, authority } = request;
  const service = view.serviceByHostname(hostname, local.namespace);
  if (service === undefined) {
    if (rec.enabled) {
      rec.step(`Authority ${hostname}:${authority.port}`, '', '', 'refused with 503: no service has this host name');
    }
    return refuse('unknown-hostname', 503, hostname);
  }
  const endpoint = view.endpointOf(service, local);
  const port =
    endpoint === undefined
      ? (portOf(service, authority.port)?.targetPort ?? 0)
      : targetPortOf(service, endpoint, authority.port);
  if (port === 0) {
    if (rec.enabled) {
      rec.step(
        `Service ${describeService(service)}`,
        `port ${authority.port}`,
        `on workload ${describeWorkload(local)}`,
        'refused with 503: leads to no port of the workload',
      );
    }
    return refuse('unknown-port', 503, `${hostname}:${authority.port}`);
  }
  if (rec.enabled) {
    rec.step(
      `Authority ${hostname}:${authority.port}`,
      '',
      '',
      `is Service ${describeService(service)}, here on port ${port}`,
    );
  }
  return deliver(request, 'hostname', port, undefined, service, rec);
}

function deliver(
  request: InboundRequest,
  reason: InboundReason,
  port: number,
  named: Ip | undefined,
  service: Service | undefined,
  rec: Recorder,
): InboundVerdict {
  const { local, connectedIp, authority, network } = request;
  if (ILLEGAL_PORTS.includes(port)) {
    if (rec.enabled) {
      rec.step(`Workload ${describeWorkload(local)}`, `port ${port}`, '', "refused with 503: it is the proxy's own");
    }
    return refuse('illegal-port', 503, connectedIp.withPort(port));
  }
  const tunnel = local.applicationTunnel;
  if (tunnel === undefined) {
    return { kind: 'deliver', reason, ip: connectedIp, port, proxyDestination: undefined, service };
  }
  const final = tunnel.port === 0 ? port : tunnel.port;
  if (rec.enabled) {
    rec.step(
      `Workload ${describeWorkload(local)}`,
      'application tunnel',
      tunnel.protocol,
      `delivered to port ${final}`,
    );
  }
  if (tunnel.protocol === 'none') {
    return { kind: 'deliver', reason, ip: connectedIp, port: final, proxyDestination: undefined, service };
  }
  const told = named ?? (service === undefined ? undefined : toldAddress(service, network));
  if (told === undefined) return refuse('no-virtual-address', 503, authority.hostname);
  const proxyDestination = { ip: told, port: authority.port };
  return { kind: 'deliver', reason, ip: connectedIp, port: final, proxyDestination, service };
}

/** The virtual address to write in a PROXY header: of this network first, IPv4 first. */
function toldAddress(service: Service, network: string): Ip | undefined {
  let best: Ip | undefined;
  let bestRank = -1;
  for (const vip of service.vips) {
    if (!vip.range.host) continue;
    const rank = (vip.network === network ? 2 : 0) + (vip.range.base.family === 4 ? 1 : 0);
    if (rank > bestRank) {
      best = vip.range.base;
      bestRank = rank;
    }
  }
  return best;
}

/**
 * The service an inbound connection is counted for: the one the sender told of, if the workload serves it; else the
 * first that leads to the port.
 */
export function servedService(
  view: MeshView,
  local: Workload,
  port: number,
  forwardedHost: string,
): Service | undefined {
  let first: Service | undefined;
  for (const [key, ports] of local.services) {
    const service = view.service(key);
    if (service === undefined) continue;
    if (forwardedHost !== '' && service.hostname === forwardedHost) return service;
    if (first === undefined && leadsTo(service, ports, port)) first = service;
  }
  return first;
}

function leadsTo(service: Service, own: readonly PortMapping[], port: number): boolean {
  for (const one of service.ports) {
    const target = mappedPort(own, one.servicePort) ?? one.targetPort;
    if (target === port) return true;
  }
  return false;
}
