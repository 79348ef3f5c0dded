// SPDX-License-Identifier: Apache-2.0
// The cluster's zone as a function of its services and endpoint slices (Kubernetes DNS-based service discovery 1.1.0):
// A and AAAA of services, headless services and named endpoints, SRV of named ports, PTR of cluster addresses, CNAME of external names.
import type { EndpointSlice, Service } from '#lib/kube/object.ts';

export type ZoneRecord =
  | { readonly type: 'A' | 'AAAA' | 'PTR' | 'CNAME'; readonly name: string; readonly data: string }
  | {
      readonly type: 'SRV';
      readonly name: string;
      readonly data: { readonly port: number; readonly target: string; readonly priority: 0; readonly weight: 100 };
    };

/** Records by lower-case name without a final dot. */
export type Zone = ReadonlyMap<string, readonly ZoneRecord[]>;

const SERVICE_NAME = 'kubernetes.io/service-name';

export function zoneOf(services: Iterable<Service>, slices: Iterable<EndpointSlice>, domain: string): Zone {
  const bySlice = Map.groupBy(
    slices,
    (slice) => `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_NAME]}`,
  );
  const records: ZoneRecord[] = [];
  for (const service of services) {
    const { name, namespace = '' } = service.metadata;
    const fqdn = `${name}.${namespace}.svc.${domain}`;
    const { type, externalName, clusterIP, clusterIPs = [] } = service.spec ?? {};
    if (type === 'ExternalName') {
      if (externalName !== undefined) records.push({ type: 'CNAME', name: fqdn, data: externalName });
    } else if (clusterIP === 'None')
      records.push(...headless(service, fqdn, bySlice.get(`${namespace}/${name}`) ?? []));
    else records.push(...clustered(service, fqdn, clusterIPs.length > 0 ? clusterIPs : clusterIP ? [clusterIP] : []));
  }
  return Map.groupBy(records, (record) => record.name.toLowerCase());
}

function clustered(service: Service, fqdn: string, addresses: readonly string[]): ZoneRecord[] {
  return [
    ...addresses.flatMap((address): ZoneRecord[] => [
      addressRecord(fqdn, address),
      { type: 'PTR', name: reverseName(address), data: fqdn },
    ]),
    ...srv(fqdn, service.spec?.ports ?? [], fqdn),
  ];
}

function headless(service: Service, fqdn: string, slices: readonly EndpointSlice[]): ZoneRecord[] {
  const everyone = service.spec?.publishNotReadyAddresses === true;
  return slices.flatMap((slice) =>
    (slice.endpoints ?? [])
      .filter(({ conditions }) => everyone || conditions?.ready !== false)
      .flatMap(({ addresses = [], hostname }) =>
        addresses.flatMap((address): ZoneRecord[] => {
          const host = `${hostname ?? address.replace(/[.:]/g, '-')}.${fqdn}`;
          const named: ZoneRecord[] = [
            addressRecord(host, address),
            { type: 'PTR', name: reverseName(address), data: host },
          ];
          return [addressRecord(fqdn, address), ...named, ...srv(fqdn, slice.ports ?? [], host)];
        }),
      ),
  );
}

function srv(
  fqdn: string,
  ports: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[],
  target: string,
): ZoneRecord[] {
  return ports.flatMap(({ name, port, protocol = 'TCP' }): ZoneRecord[] =>
    name === undefined || name === '' || port === undefined
      ? []
      : [
          {
            type: 'SRV',
            name: `_${name}._${protocol.toLowerCase()}.${fqdn}`,
            data: { port, target, priority: 0, weight: 100 },
          },
        ],
  );
}

function addressRecord(name: string, address: string): ZoneRecord {
  return { type: address.includes(':') ? 'AAAA' : 'A', name, data: address };
}

/** `10.96.0.1` → `1.0.96.10.in-addr.arpa`; IPv6 nibble by nibble (RFC 1035 3.5, RFC 3596 2.5). */
export function reverseName(address: string): string {
  if (!address.includes(':')) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  const [head = '', tail = ''] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::') ? Array<string>(8 - front.length - back.length).fill('0') : [];
  const nibbles = [...front, ...zeros, ...back].map((group) => group.padStart(4, '0')).join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}
