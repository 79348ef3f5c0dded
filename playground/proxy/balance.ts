// SPDX-License-Identifier: Apache-2.0
// From Services and EndpointSlices to what a node's packet filter has to do: virtual addresses and where each leads. Pure.
import type { EndpointSlice, Service } from '#lib/kube/object.ts';

export type Family = 'ipv4' | 'ipv6';

export interface Backend {
  readonly address: string;
  readonly port: number;
}

/** One port of one Service in one family. */
export interface Frontend {
  /** `namespace/name:port`, for comments. */
  readonly name: string;
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Cluster, external and load-balancer addresses. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly backends: readonly Backend[];
}

interface ServiceDetail {
  readonly internalTrafficPolicy?: string;
  readonly publishNotReadyAddresses?: boolean;
  readonly externalIPs?: readonly string[];
}

/** Replaces the endpoints of one Service, as for `default/kubernetes` when its own cannot be reached from here. */
export type Overrides = ReadonlyMap<string, readonly Backend[]>;

/** Every port that needs rules, sorted by name so that the same input gives the same rules. */
export function frontends(
  services: Iterable<Service>,
  slices: Iterable<EndpointSlice>,
  nodeName: string,
  overrides: Overrides = new Map(),
): Frontend[] {
  const byService = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const owner = slice.metadata.labels?.['kubernetes.io/service-name'];
    if (owner === undefined) continue;
    const key = `${slice.metadata.namespace}/${owner}`;
    const list = byService.get(key);
    if (list === undefined) byService.set(key, [slice]);
    else list.push(slice);
  }
  const found: Frontend[] = [];
  for (const service of services) {
    const key = `${service.metadata.namespace}/${service.metadata.name}`;
    found.push(...serviceFrontends(service, byService.get(key) ?? [], nodeName, overrides.get(key)));
  }
  return found.sort((a, b) => (`${a.name}/${a.family}` < `${b.name}/${b.family}` ? -1 : 1));
}

function serviceFrontends(
  service: Service,
  slices: readonly EndpointSlice[],
  nodeName: string,
  override: readonly Backend[] | undefined,
): Frontend[] {
  const spec: NonNullable<Service['spec']> & ServiceDetail = service.spec ?? {};
  const { type = 'ClusterIP', clusterIP } = spec;
  const clusterIps = spec.clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP]);
  if (type === 'ExternalName' || clusterIps.length === 0 || clusterIps.includes('None')) return [];
  const status = (service as { status?: { loadBalancer?: { ingress?: readonly { ip?: string }[] } } }).status;
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  const addresses = [...clusterIps, ...(spec.externalIPs ?? []), ...ingress];
  const localOnly = spec.internalTrafficPolicy === 'Local';
  return (spec.ports ?? []).flatMap((port) =>
    (['ipv4', 'ipv6'] as const).flatMap((family): Frontend[] => {
      const own = addresses.filter((address) => familyOf(address) === family);
      if (own.length === 0) return [];
      const protocol = (port.protocol ?? 'TCP').toLowerCase() as Frontend['protocol'];
      const backends =
        override?.filter(({ address }) => familyOf(address) === family) ??
        backendsOf(slices, family, port.name ?? '', protocol, localOnly ? nodeName : undefined);
      return [
        {
          name: `${service.metadata.namespace}/${service.metadata.name}:${port.name ?? port.port}`,
          ...{ family, protocol, addresses: own, port: port.port, nodePort: port.nodePort, backends },
        },
      ];
    }),
  );
}

/** Ready endpoints; when there is none, those that still serve while they end (KEP-1669). */
function backendsOf(
  slices: readonly EndpointSlice[],
  family: Family,
  portName: string,
  protocol: string,
  onlyNode: string | undefined,
): Backend[] {
  const ready = new Map<string, Backend>();
  const ending = new Map<string, Backend>();
  for (const slice of slices) {
    if (slice.addressType !== (family === 'ipv4' ? 'IPv4' : 'IPv6')) continue;
    const port = slice.ports?.find(
      (candidate) => (candidate.name ?? '') === portName && (candidate.protocol ?? 'TCP').toLowerCase() === protocol,
    )?.port;
    if (port === undefined) continue;
    for (const { addresses = [], conditions = {}, nodeName } of slice.endpoints ?? []) {
      const address = addresses[0];
      if (address === undefined || (onlyNode !== undefined && nodeName !== onlyNode)) continue;
      const backend = { address, port };
      if (conditions.ready !== false) ready.set(address, backend);
      else if (conditions.serving === true && conditions.terminating === true) ending.set(address, backend);
    }
  }
  return [...(ready.size > 0 ? ready : ending).values()].sort((a, b) => (a.address < b.address ? -1 : 1));
}

export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
