// SPDX-License-Identifier: Apache-2.0
//
// Where does a captured connection go? The first row that fits decides (facts of the protocol, in Istio's order):
//
//   service with a waypoint            the waypoint, or nowhere: a waypoint is never bypassed
//   service that makes no choice       as dialled
//   service                            one endpoint, tunnelled when it can be
//   workload with a waypoint           the waypoint, unless the client is it
//   workload                           itself, tunnelled when it can be
//   unknown, inside the cluster        wait for it once, then pass or refuse by setting
//   unknown                            as dialled, plain
//
// An exact virtual address beats a workload's address, which beats a range of virtual addresses; where it leads to no endpoint the
// workload counts.

import { chooseEndpoint, type Random } from './balance.ts';
import { targetPortOf } from './candidate.ts';
import { endpointIp } from './endpoint-ip.ts';
import type { OutboundFlow, OutboundOptions } from './flow.ts';
import { isGatewayItself } from './gateway.ts';
import { describeGateway, type GatewayAddress } from './gateway-address.ts';
import { acrossNetworks, direct, drop, throughWaypoint } from './hop.ts';
import type { Ip } from './ip.ts';
import type { Recorder } from './proof.ts';
import { describeService, type Service } from './service.ts';
import type { OutboundReason, OutboundVerdict, Target } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, type Workload } from './workload.ts';

export function resolveOutbound(
  view: MeshView,
  flow: OutboundFlow,
  options: OutboundOptions,
  random: Random,
  rec: Recorder,
): OutboundVerdict {
  const { ip, port, source } = flow;
  const service = view.serviceByAddress(options.network, ip, source.namespace);
  const workload = view.workloadByAddress(options.network, ip);
  if (service !== undefined && (workload === undefined || ownsExactly(service, options.network, ip))) {
    if (rec.enabled) {
      rec.step(
        `Destination ${ip.withPort(port)}`,
        '',
        '',
        `is a virtual address of Service ${describeService(service)}`,
      );
    }
    return toService(view, service, workload, flow, random, rec);
  }
  if (workload !== undefined) {
    if (rec.enabled) {
      rec.step(`Destination ${ip.withPort(port)}`, '', '', `is an address of Workload ${describeWorkload(workload)}`);
    }
    return toWorkload(view, workload, flow, random, rec);
  }
  return toUnknown(flow, options, rec);
}

function ownsExactly(service: Service, network: string, ip: Ip): boolean {
  for (const vip of service.vips)
    if (vip.network === network && vip.range.host && vip.range.base.equals(ip)) return true;
  return false;
}

/** @param owner the workload whose own address the virtual one is: a ServiceEntry may name a machine by the machine's address. */
function toService(
  view: MeshView,
  service: Service,
  owner: Workload | undefined,
  flow: OutboundFlow,
  random: Random,
  rec: Recorder,
): OutboundVerdict {
  const { source, ip, port } = flow;
  const waypoint = waypointOf(service, random, rec);
  if (waypoint !== undefined) return throughWaypoint(view, waypoint, flow, service, random, rec);
  if (service.loadBalancing.mode === 'passthrough') {
    if (rec.enabled) {
      rec.step(
        `Service ${describeService(service)}`,
        'load balancing',
        'mode passthrough',
        'goes to the address that was dialled',
      );
    }
    return {
      kind: 'tcp',
      reason: 'service-passthrough',
      target: { ip, hostname: '', port },
      workload: undefined,
      service,
      missing: '',
    };
  }
  const endpoint = chooseEndpoint(
    view,
    service,
    { source, port, tried: flow.tried, portMayBeMissing: false, anyNetwork: false },
    random,
    rec,
  );
  if (typeof endpoint === 'string') {
    // The machine has more ports than the service tells of.
    if (owner !== undefined && flow.tried.length === 0) {
      if (rec.enabled) {
        rec.step(
          `Destination ${ip.withPort(port)}`,
          '',
          'no endpoint of the service',
          `is an address of Workload ${describeWorkload(owner)} too, and taken as that`,
        );
      }
      return toWorkload(view, owner, flow, random, rec);
    }
    return drop(endpoint, ip.withPort(port), service);
  }
  const { workload } = endpoint;
  if (workload.network !== source.network) {
    return acrossNetworks(view, { workload, waypoint: false }, flow, service, service.subjectAltNames, random, rec);
  }
  const targetPort = targetPortOf(service, endpoint, port);
  const chosen = endpointIp(workload, ip, service.ipFamilies);
  if (chosen === undefined && workload.hostname === '') {
    if (rec.enabled) {
      rec.step(
        `Workload ${describeWorkload(workload)}`,
        '',
        `address of family ${service.ipFamilies}`,
        'it has none',
        'an endpoint has an address of that family',
      );
    }
    return drop('no-endpoint-address', ip.withPort(port), service);
  }
  const target: Target = {
    ip: chosen,
    hostname: chosen === undefined ? workload.hostname : '',
    port: targetPort,
  };
  return direct(workload, target, 'service-endpoint', service, source, rec);
}

/** The waypoint of this connection: drawn by weight, or the only one, or none. */
function waypointOf(service: Service, random: Random, rec: Recorder): GatewayAddress | undefined {
  let total = 0;
  for (const one of service.weightedWaypoints) total += one.weight;
  if (total === 0) {
    if (rec.enabled) {
      const { waypoint } = service;
      rec.step(
        `Service ${describeService(service)}`,
        'waypoint',
        '',
        waypoint === undefined ? 'none is bound' : `all its traffic passes ${describeGateway(waypoint)}`,
      );
    }
    return service.waypoint;
  }
  let ticket = random() * total;
  let drawn: GatewayAddress | undefined;
  for (const one of service.weightedWaypoints) {
    if (one.weight === 0) continue;
    drawn = one.address;
    ticket -= one.weight;
    if (ticket < 0) break;
  }
  if (rec.enabled && drawn !== undefined) {
    rec.step(
      `Service ${describeService(service)}`,
      'waypoint',
      'drawn by weight for each connection',
      describeGateway(drawn),
    );
  }
  return drawn;
}

function toWorkload(
  view: MeshView,
  workload: Workload,
  flow: OutboundFlow,
  random: Random,
  rec: Recorder,
): OutboundVerdict {
  const { source, ip, port } = flow;
  const { waypoint } = workload;
  if (waypoint !== undefined) {
    const itself = isGatewayItself(view, source, waypoint);
    if (rec.enabled) {
      rec.step(
        `Workload ${describeWorkload(workload)}`,
        'waypoint',
        '',
        itself
          ? `${describeGateway(waypoint)} is the client itself, so straight on`
          : `its traffic passes ${describeGateway(waypoint)}`,
      );
    }
    if (!itself) return throughWaypoint(view, waypoint, flow, undefined, random, rec);
  }
  return direct(workload, { ip, hostname: '', port }, 'workload', undefined, source, rec);
}

function toUnknown(flow: OutboundFlow, options: OutboundOptions, rec: Recorder): OutboundVerdict {
  const { ip, port } = flow;
  const inside = options.clusterRanges.some((range) => range.contains(ip));
  if (!inside) {
    if (rec.enabled) {
      rec.step(
        `Destination ${ip.withPort(port)}`,
        '',
        '',
        'no workload or service has this address: passes as it is, without mutual TLS',
        'the destination is in the mesh, or a ServiceEntry describes it',
      );
    }
    return plainUnknown('unknown-destination', flow, options);
  }
  if (!flow.waited) {
    if (rec.enabled) {
      rec.step(
        `Destination ${ip.withPort(port)}`,
        '',
        "inside the cluster's ranges",
        'not known yet: wait for news of it',
      );
    }
    return { kind: 'wait', reason: 'unknown-cluster-address' };
  }
  if (rec.enabled) {
    const refuse = options.unknownCluster === 'refuse';
    rec.step(
      `Destination ${ip.withPort(port)}`,
      '',
      "inside the cluster's ranges, still unknown after the wait",
      refuse ? 'refused by setting' : 'passes as it is, without mutual TLS',
      'the control plane announces a workload or service with this address',
    );
  }
  if (options.unknownCluster === 'refuse') return drop('unknown-cluster-address', ip.withPort(port), undefined);
  return plainUnknown('unknown-cluster-address', flow, options);
}

function plainUnknown(
  reason: OutboundReason,
  { ip, port }: OutboundFlow,
  { network }: OutboundOptions,
): OutboundVerdict {
  return {
    kind: 'passthrough',
    reason,
    target: { ip, hostname: '', port },
    workload: undefined,
    service: undefined,
    missing: `${network}/${ip.text}`,
  };
}

/** A verdict whose host name has been resolved to `ip`. */
export function withResolvedIp<V extends Exclude<OutboundVerdict, { kind: 'wait' | 'drop' }>>(verdict: V, ip: Ip): V {
  if (verdict.target.ip !== undefined) return verdict;
  const target: Target = { ip, hostname: '', port: verdict.target.port };
  if (verdict.kind !== 'hbone' || verdict.waypoint) return { ...verdict, target };
  const destination: Target = { ip, hostname: '', port: verdict.destination.port };
  return { ...verdict, target, destination, authority: ip.withPort(destination.port) };
}
