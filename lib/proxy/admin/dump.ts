// SPDX-License-Identifier: Apache-2.0
// Mesh values in the shapes that Istio's tools read from `/config_dump`; `source/local-file.ts` reads the same shapes back.
// A key whose value is empty is left out where Istio leaves it out.
import type { Cidr } from '#lib/mesh/cidr.ts';
import type { GatewayAddress, WeightedWaypoint } from '#lib/mesh/gateway-address.ts';
import type { Match, Policy, StringMatch } from '#lib/mesh/policy.ts';
import { ANY_ENDPOINT, type Endpoint, type LoadBalancing, type Service } from '#lib/mesh/service.ts';
import type { PortMapping, Workload } from '#lib/mesh/workload.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Fields = { [key: string]: Json };

export const SCOPE_NAMES = { global: 'Global', namespace: 'Namespace', selector: 'WorkloadSelector' } as const;
export const ACTION_NAMES = { allow: 'Allow', deny: 'Deny' } as const;
export const MODE_NAMES = {
  any: 'Standard',
  strict: 'Strict',
  failover: 'Failover',
  passthrough: 'Passthrough',
} as const;
export const FAMILY_NAMES = { ipv4: 'IPv4', ipv6: 'IPv6', dual: 'Dual' } as const;

export function dumpWorkload(workload: Workload): Json {
  const out: Fields = { workloadIps: workload.addresses.map(({ text }) => text) };
  const text = (key: string, value: string): void => {
    if (value !== '') out[key] = value;
  };
  if (workload.waypoint !== undefined) out['waypoint'] = dumpGateway(workload.waypoint);
  if (workload.networkGateway !== undefined) out['networkGateway'] = dumpGateway(workload.networkGateway);
  out['protocol'] = workload.protocol === 'hbone' ? 'HBONE' : 'TCP';
  out['networkMode'] = workload.hostNetwork ? 'HostNetwork' : 'Standard';
  text('uid', workload.uid);
  out['name'] = workload.name;
  out['namespace'] = workload.namespace;
  text('trustDomain', workload.trustDomain);
  text('serviceAccount', workload.serviceAccount);
  text('network', workload.network);
  text('workloadName', workload.workloadName);
  text('workloadType', workload.workloadType);
  text('canonicalName', workload.canonicalName);
  text('canonicalRevision', workload.canonicalRevision);
  text('hostname', workload.hostname);
  text('node', workload.node);
  if (workload.nativeTunnel) out['nativeTunnel'] = true;
  const tunnel = workload.applicationTunnel;
  if (tunnel !== undefined) out['applicationTunnel'] = { protocol: tunnel.protocol.toUpperCase(), port: tunnel.port };
  if (workload.authorizationPolicies.length > 0) out['authorizationPolicies'] = workload.authorizationPolicies;
  out['status'] = workload.healthy ? 'Healthy' : 'Unhealthy';
  out['clusterId'] = workload.clusterId;
  const { region, zone, subzone } = workload.locality;
  if (region !== '' || zone !== '' || subzone !== '') out['locality'] = { region, zone, subzone };
  if (workload.services.size > 0) out['services'] = [...workload.services.keys()].sort();
  out['capacity'] = workload.capacity;
  if (workload.sameNodeTunnel) out['sameNodeTunnel'] = true;
  if (workload.httpMetrics) out['httpMetrics'] = true;
  return out;
}

export function dumpService(service: Service, endpoints: readonly Endpoint[]): Json {
  const out: Fields = { name: service.name, namespace: service.namespace, hostname: service.hostname };
  out['vips'] = service.vips
    .filter(({ range }) => range.host)
    .map(({ network, range }) => `${network}/${range.base.text}`);
  const ranges = service.vips.filter(({ range }) => !range.host);
  if (ranges.length > 0) out['cidrVips'] = ranges.map(({ network, range }) => ({ network, cidr: String(range) }));
  out['ports'] = dumpPorts(service.ports);
  out['endpoints'] = dumpEndpoints(endpoints);
  out['subjectAltNames'] = service.subjectAltNames;
  if (service.waypoint !== undefined) out['waypoint'] = dumpGateway(service.waypoint);
  if (service.weightedWaypoints.length > 0) out['weightedWaypoints'] = service.weightedWaypoints.map(dumpWeighted);
  const balancing = service.loadBalancing;
  if (balancing.mode !== ANY_ENDPOINT.mode || balancing.allowUnhealthy) out['loadBalancer'] = dumpBalancing(balancing);
  if (service.ipFamilies !== 'automatic') out['ipFamilies'] = FAMILY_NAMES[service.ipFamilies];
  out['canonical'] = service.canonical;
  out['visibility'] = service.visibility === 'public' ? 'Public' : 'Namespace';
  return out;
}

/** By uid of the workload. */
export function dumpEndpoints(endpoints: readonly Endpoint[]): Json {
  return Object.fromEntries(
    endpoints.map(({ workload, ports }) => [
      workload.uid,
      { workloadUid: workload.uid, port: dumpPorts(ports), status: workload.healthy ? 'Healthy' : 'Unhealthy' },
    ]),
  );
}

export function dumpPolicy(policy: Policy): Json {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: SCOPE_NAMES[policy.scope],
    action: ACTION_NAMES[policy.action],
    rules: policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(dumpMatch))),
    dryRun: policy.dryRun,
  };
}

export function dumpGateway({ destination, hbonePort }: GatewayAddress): Json {
  const place =
    destination.kind === 'ip'
      ? `${destination.network}/${destination.ip.text}`
      : `${destination.namespace}/${destination.hostname}`;
  return { destination: place, hboneMtlsPort: hbonePort };
}

function dumpWeighted({ address, weight }: WeightedWaypoint): Json {
  return { destination: dumpGateway(address), weight };
}

function dumpBalancing({ scopes, mode, allowUnhealthy }: LoadBalancing): Json {
  return {
    routingPreferences: scopes.map((scope) => scope[0]!.toUpperCase() + scope.slice(1)),
    mode: MODE_NAMES[mode],
    healthPolicy: allowUnhealthy ? 'AllowAll' : 'OnlyHealthy',
  };
}

function dumpPorts(ports: readonly PortMapping[]): Json {
  return Object.fromEntries(ports.map(({ servicePort, targetPort }) => [String(servicePort), targetPort]));
}

function dumpMatch(match: Match): Json {
  const out: Fields = {};
  const list = (key: string, values: readonly Json[]): void => {
    if (values.length > 0) out[key] = values;
  };
  const range = (cidr: Cidr): string => String(cidr);
  list('namespaces', match.namespaces.any.map(dumpString));
  list('notNamespaces', match.namespaces.none.map(dumpString));
  list(
    'serviceAccounts',
    match.serviceAccounts.any.map((account) => ({ ...account })),
  );
  list(
    'notServiceAccounts',
    match.serviceAccounts.none.map((account) => ({ ...account })),
  );
  list('principals', match.principals.any.map(dumpString));
  list('notPrincipals', match.principals.none.map(dumpString));
  list('sourceIps', match.sourceIps.any.map(range));
  list('notSourceIps', match.sourceIps.none.map(range));
  list('destinationIps', match.destinationIps.any.map(range));
  list('notDestinationIps', match.destinationIps.none.map(range));
  list('destinationPorts', match.destinationPorts.any);
  list('notDestinationPorts', match.destinationPorts.none);
  return out;
}

function dumpString({ kind, value }: StringMatch): Json {
  switch (kind) {
    case 'exact':
      return { Exact: value };
    case 'prefix':
      return { Prefix: value };
    case 'suffix':
      return { Suffix: value };
    case 'presence':
      return { Presence: [] };
  }
}
