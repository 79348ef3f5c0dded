// SPDX-License-Identifier: Apache-2.0
//
// The ways to the next hop once it is known which: straight to an endpoint, through a waypoint, or through another
// network's gateway. Each makes the verdict with the authority to ask for and the identities to accept.

import type { Random } from './balance.ts';
import type { OutboundFlow } from './flow.ts';
import { gatewayIdentities, type ResolvedGateway, resolveGateway } from './gateway.ts';
import { describeGateway, type GatewayAddress, HBONE_PORT } from './gateway-address.ts';
import { parseIdentity } from './identity.ts';
import type { Recorder } from './proof.ts';
import type { Service } from './service.ts';
import type { OutboundReason, OutboundVerdict, Target } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, identityOf, type Workload } from './workload.ts';

export function drop(
  reason: OutboundReason,
  subject: string,
  service: Service | undefined,
  missing = '',
): OutboundVerdict {
  return { kind: 'drop', reason, subject, service, missing };
}

/** How the control plane would be asked for a gateway of which nothing is known. By address only what is known here counts. */
function nameOf({ destination }: GatewayAddress): string {
  return destination.kind === 'hostname' ? `${destination.namespace}/${destination.hostname}` : '';
}

export function throughWaypoint(
  view: MeshView,
  address: GatewayAddress,
  flow: OutboundFlow,
  service: Service | undefined,
  random: Random,
  rec: Recorder,
): OutboundVerdict {
  const { source, ip, port } = flow;
  const gateway = resolveGateway(
    view,
    address,
    { source, dialled: ip, tried: flow.tried, role: 'waypoint' },
    random,
    rec,
  );
  if (typeof gateway === 'string') {
    return gateway === 'unknown'
      ? drop('unknown-waypoint', describeGateway(address), service, nameOf(address))
      : drop('waypoint-no-endpoint', describeGateway(address), service);
  }
  const { workload } = gateway;
  if (workload.network !== source.network) {
    if (service === undefined) return drop('no-network-gateway', describeWorkload(workload), service);
    const inner = gateway.service === undefined ? [] : gateway.service.subjectAltNames;
    return acrossNetworks(view, { workload, waypoint: true }, flow, service, inner, random, rec);
  }
  if (gateway.target.ip === undefined && gateway.target.hostname === '') {
    return drop('waypoint-no-endpoint', describeGateway(address), service);
  }
  const authority = ip.withPort(port);
  const identities = validIdentities(gateway);
  if (rec.enabled) {
    rec.step(
      `Workload ${describeWorkload(workload)}`,
      'as waypoint',
      `HBONE to ${targetText(gateway.target)}`,
      `authority ${authority}, peer must be ${identities.join(' or ')}`,
    );
  }
  return {
    kind: 'hbone',
    reason: service === undefined ? 'workload-waypoint' : 'service-waypoint',
    target: gateway.target,
    authority,
    identities,
    workload,
    service,
    waypoint: true,
    sameNode: false,
    destination: { ip, hostname: '', port },
  };
}

function validIdentities(gateway: ResolvedGateway): readonly string[] {
  const all = gatewayIdentities(gateway);
  return all.length === 1 ? all : all.filter(isIdentity);
}

function isIdentity(uri: string): boolean {
  return parseIdentity(uri) !== undefined;
}

/** To the endpoint itself: a tunnel when it speaks HBONE, plain TCP otherwise. */
export function direct(
  workload: Workload,
  destination: Target,
  reason: OutboundReason,
  service: Service | undefined,
  source: Workload,
  rec: Recorder,
): OutboundVerdict {
  if (workload.protocol === 'none') {
    if (rec.enabled) {
      rec.step(
        `Workload ${describeWorkload(workload)}`,
        'protocol',
        'TCP',
        `plain connection to ${targetText(destination)}`,
        'the Pod joins the mesh (label istio.io/dataplane-mode=ambient on it or its Namespace)',
      );
    }
    return { kind: 'tcp', reason, target: destination, workload, service, missing: '' };
  }
  const identities = endpointIdentities(workload, service);
  const authority = destination.ip === undefined ? '' : destination.ip.withPort(destination.port);
  const sameNode = onSameNode(source, workload);
  if (rec.enabled) {
    rec.step(
      `Workload ${describeWorkload(workload)}`,
      'protocol',
      'HBONE',
      sameNode
        ? `on the client's own node ${workload.node}: sockets are joined, policy is checked as in a tunnel`
        : `tunnel to ${targetText({ ...destination, port: HBONE_PORT })}, authority ${authority}, peer must be ${identities.join(' or ')}`,
    );
  }
  return {
    kind: 'hbone',
    reason,
    target: { ip: destination.ip, hostname: destination.hostname, port: HBONE_PORT },
    authority,
    identities,
    workload,
    service,
    waypoint: false,
    sameNode,
    destination,
  };
}

function endpointIdentities(workload: Workload, service: Service | undefined): readonly string[] {
  const own = identityOf(workload).uri;
  if (service === undefined || service.subjectAltNames.length === 0) return [own];
  return [...service.subjectAltNames.filter(isIdentity), own];
}

/** Whether this node's proxy holds both ends, and neither end wants a tunnel of its own. */
export function onSameNode(source: Workload, workload: Workload): boolean {
  return (
    workload.node !== '' &&
    workload.node === source.node &&
    workload.clusterId === source.clusterId &&
    workload.network === source.network &&
    !workload.nativeTunnel &&
    !workload.hostNetwork &&
    !workload.sameNodeTunnel &&
    !source.sameNodeTunnel
  );
}

/** Through the gateway of the far network: a tunnel to the gateway, and in it one to the far end. */
export function acrossNetworks(
  view: MeshView,
  far: { readonly workload: Workload; readonly waypoint: boolean },
  flow: OutboundFlow,
  service: Service,
  innerNames: readonly string[],
  random: Random,
  rec: Recorder,
): OutboundVerdict {
  const { source, ip, port, tried } = flow;
  const address = far.workload.networkGateway;
  if (address === undefined) {
    if (rec.enabled) {
      rec.step(
        `Workload ${describeWorkload(far.workload)}`,
        'network gateway',
        `it is on network ${far.workload.network}`,
        'no gateway leads there',
        'an east-west gateway leads to that network',
      );
    }
    return drop('no-network-gateway', describeWorkload(far.workload), service);
  }
  const gateway = resolveGateway(view, address, { source, dialled: ip, tried, role: 'gateway' }, random, rec);
  if (typeof gateway === 'string' || (gateway.target.ip === undefined && gateway.target.hostname === '')) {
    const missing = gateway === 'unknown' ? nameOf(address) : '';
    return drop('unknown-network-gateway', describeGateway(address), service, missing);
  }
  const authority = `${service.hostname}:${port}`;
  if (rec.enabled) {
    rec.step(
      `Workload ${describeWorkload(far.workload)}`,
      'network gateway',
      `it is on network ${far.workload.network}`,
      `tunnel in a tunnel through ${targetText(gateway.target)}, authority ${authority}`,
    );
  }
  return {
    kind: 'double-hbone',
    reason: far.waypoint ? 'service-waypoint' : 'service-endpoint',
    target: gateway.target,
    authority,
    outerIdentities: validIdentities(gateway),
    innerIdentities: innerNames.filter(isIdentity),
    workload: far.workload,
    gateway: gateway.workload,
    service,
    waypoint: far.waypoint,
  };
}

function targetText(target: Target): string {
  return target.ip === undefined ? `${target.hostname}:${target.port}` : target.ip.withPort(target.port);
}
