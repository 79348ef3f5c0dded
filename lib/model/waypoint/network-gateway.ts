// SPDX-License-Identifier: Apache-2.0
//
// Gateways into other networks: where to send what cannot be reached directly. Each is told to clients as a workload
// too, so that they know which identity to expect of it.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { type GatewayAddress, type GatewayDestination, HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import * as names from '../object/names.ts';
import { annotation, label, namespaceOf } from '../object/object.ts';
import type { Gateway } from './gateway.ts';

const REMOTE_CLASSES: ReadonlySet<string> = new Set(['istio-remote', 'ambit-remote']);
const EAST_WEST_CLASSES: ReadonlySet<string> = new Set(['istio-east-west', 'ambit-east-west']);

export interface NetworkGateway {
  /** `NetworkGateway/<network>/<address>/<port>`. */
  readonly uid: string;
  readonly network: string;
  readonly namespace: string;
  /** Of the Gateway. */
  readonly name: string;
  readonly serviceAccount: string;
  readonly destination: GatewayDestination;
  /** Port of HBONE; 0 when it was found in its own cluster, where the port is a matter of convention. */
  readonly port: number;
  readonly clusterId: string;
}

/** The network gateways a Gateway object stands for: one for each address. */
export function networkGatewaysOf(gateway: Gateway, localCluster: string): NetworkGateway[] {
  const network = label(gateway, names.NETWORK) ?? '';
  const className = gateway.spec?.gatewayClassName ?? '';
  const remote = gateway.cluster === undefined && REMOTE_CLASSES.has(className);
  const eastWest = gateway.cluster !== undefined && EAST_WEST_CLASSES.has(className);
  if (network === '' || (!remote && !eastWest)) return [];
  const listener = gateway.spec?.listeners?.find(
    (one) => one.protocol === 'HBONE' && (remote || one.tls?.mode === 'Terminate'),
  );
  if (listener === undefined) return [];
  const { name } = gateway.metadata;
  const port = remote ? (listener.port ?? HBONE_PORT) : 0;
  const serviceAccount = annotation(gateway, names.GATEWAY_SERVICE_ACCOUNT) ?? (remote ? `${name}-${className}` : name);
  const namespace = namespaceOf(gateway);
  return (gateway.status?.addresses ?? []).flatMap(({ type, value = '' }): NetworkGateway[] => {
    const ip = parseIp(value);
    if (value === '' || (ip === undefined && type !== 'Hostname')) return [];
    const destination: GatewayDestination =
      ip === undefined ? { kind: 'hostname', namespace, hostname: value } : { kind: 'ip', network, ip };
    const clusterId = gateway.cluster ?? localCluster;
    const uid = `NetworkGateway/${network}/${value}/${port}`;
    return [{ uid, network, namespace, name, serviceAccount, destination, port, clusterId }];
  });
}

export interface NetworkGateways {
  /** By uid. */
  readonly gateways: Collection<NetworkGateway>;
  /** The first gateway of a network, with port 15008 where it has none of its own and `assumePort` says so. */
  of(network: string, fetch: Fetch, assumePort?: boolean): NetworkGateway | undefined;
}

export function createNetworkGateways(
  graph: Graph,
  objects: Collection<Gateway>,
  clusterOf: (fetch: Fetch) => string,
): NetworkGateways {
  const gateways = graph.flatMap('network gateways', objects, (gateway, _key, fetch) =>
    networkGatewaysOf(gateway, clusterOf(fetch)).map((one) => [one.uid, one] as const),
  );
  const byNetwork = graph.index('network gateways by network', gateways, ({ network }) => [network]);
  return {
    gateways,
    of: (network, fetch, assumePort = false) =>
      fetch.lookup(byNetwork, network).find(({ port }) => assumePort || port !== 0),
  };
}

export function gatewayAddressOf({ destination, port }: NetworkGateway): GatewayAddress {
  return { destination, hbonePort: port === 0 ? HBONE_PORT : port };
}
