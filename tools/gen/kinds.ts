// SPDX-License-Identifier: Apache-2.0
//
// The custom resources to generate definitions for: what their packages' schemas do not say (plural, short names,
// which version is stored, columns of `kubectl get`).

export interface Column {
  readonly name: string;
  readonly jsonPath: string;
  readonly type?: string;
  readonly priority?: number;
  readonly description?: string;
}

export interface KindEntry {
  readonly package: 'istio' | 'gateway-api';
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** Served versions; the first is stored unless `storage` says otherwise. */
  readonly versions: readonly string[];
  readonly storage?: string;
  /** A served version for which the package has no types of its own, and the one whose types it shares. */
  readonly sameAs?: Readonly<Record<string, string>>;
  /** The package does not have it: its spec may hold anything. */
  readonly open?: boolean;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly columns: readonly Column[];
}

const AGE: Column = { name: 'Age', jsonPath: '.metadata.creationTimestamp', type: 'date' };
const THREE = ['v1', 'v1beta1', 'v1alpha3'] as const;

function istio(
  group: string,
  kind: string,
  plural: string,
  shortNames: readonly string[],
  versions: readonly string[],
  columns: readonly Column[],
): KindEntry {
  return {
    package: 'istio',
    group: `${group}.istio.io`,
    kind,
    plural,
    shortNames,
    versions,
    scope: 'Namespaced',
    columns,
  };
}

function column(name: string, jsonPath: string): Column {
  return { name, jsonPath };
}

const ISTIO: readonly KindEntry[] = [
  istio('networking', 'VirtualService', 'virtualservices', ['vs'], THREE, [
    column('Gateways', '.spec.gateways'),
    column('Hosts', '.spec.hosts'),
    AGE,
  ]),
  istio('networking', 'DestinationRule', 'destinationrules', ['dr'], THREE, [column('Host', '.spec.host'), AGE]),
  istio('networking', 'ServiceEntry', 'serviceentries', ['se'], THREE, [
    column('Hosts', '.spec.hosts'),
    column('Location', '.spec.location'),
    column('Resolution', '.spec.resolution'),
    AGE,
  ]),
  istio('networking', 'Gateway', 'gateways', ['gw'], THREE, []),
  istio('networking', 'WorkloadEntry', 'workloadentries', ['we'], THREE, [AGE, column('Address', '.spec.address')]),
  istio('networking', 'WorkloadGroup', 'workloadgroups', ['wg'], THREE, [AGE]),
  istio('networking', 'Sidecar', 'sidecars', [], THREE, []),
  istio('networking', 'EnvoyFilter', 'envoyfilters', [], ['v1alpha3'], []),
  istio('networking', 'ProxyConfig', 'proxyconfigs', [], ['v1beta1'], []),
  istio(
    'security',
    'AuthorizationPolicy',
    'authorizationpolicies',
    ['ap'],
    ['v1', 'v1beta1'],
    [column('Action', '.spec.action'), AGE],
  ),
  istio(
    'security',
    'PeerAuthentication',
    'peerauthentications',
    ['pa'],
    ['v1', 'v1beta1'],
    [column('Mode', '.spec.mtls.mode'), AGE],
  ),
  istio('security', 'RequestAuthentication', 'requestauthentications', ['ra'], ['v1', 'v1beta1'], []),
  {
    ...istio('telemetry', 'Telemetry', 'telemetries', ['telemetry'], ['v1', 'v1alpha1'], [AGE]),
    storage: 'v1alpha1',
  },
  istio('extensions', 'WasmPlugin', 'wasmplugins', [], ['v1alpha1'], [AGE]),
  { ...istio('extensions', 'TrafficExtension', 'trafficextensions', [], ['v1alpha1'], []), open: true },
];

function gateway(
  kind: string,
  plural: string,
  shortNames: readonly string[],
  versions: readonly string[],
  columns: readonly Column[] = [],
): KindEntry {
  return {
    package: 'gateway-api',
    group: 'gateway.networking.k8s.io',
    kind,
    plural,
    shortNames,
    versions,
    scope: 'Namespaced',
    columns: [...columns, AGE],
  };
}

function condition(type: string): Column {
  return column(type, `.status.conditions[?(@.type=="${type}")].status`);
}

const GATEWAY: readonly KindEntry[] = [
  {
    ...gateway(
      'GatewayClass',
      'gatewayclasses',
      ['gc'],
      ['v1', 'v1beta1'],
      [column('Controller', '.spec.controllerName'), condition('Accepted')],
    ),
    scope: 'Cluster',
  },
  gateway(
    'Gateway',
    'gateways',
    ['gtw'],
    ['v1', 'v1beta1'],
    [
      column('Class', '.spec.gatewayClassName'),
      column('Address', '.status.addresses[*].value'),
      condition('Programmed'),
    ],
  ),
  gateway('HTTPRoute', 'httproutes', [], ['v1', 'v1beta1'], [column('Hostnames', '.spec.hostnames')]),
  gateway('GRPCRoute', 'grpcroutes', [], ['v1'], [column('Hostnames', '.spec.hostnames')]),
  { ...gateway('TCPRoute', 'tcproutes', [], ['v1', 'v1alpha2']), sameAs: { v1: 'v1alpha2' } },
  gateway('TLSRoute', 'tlsroutes', [], ['v1', 'v1alpha3', 'v1alpha2']),
  gateway('UDPRoute', 'udproutes', [], ['v1alpha2']),
  { ...gateway('ReferenceGrant', 'referencegrants', ['refgrant'], ['v1', 'v1beta1']), storage: 'v1beta1' },
  gateway('BackendTLSPolicy', 'backendtlspolicies', ['btlspolicy'], ['v1', 'v1alpha3']),
  {
    ...gateway('XBackendTrafficPolicy', 'xbackendtrafficpolicies', ['xbtrafficpolicy'], ['v1alpha1']),
    group: 'gateway.networking.x-k8s.io',
  },
  gateway('ListenerSet', 'listenersets', ['lset'], ['v1'], [condition('Accepted'), condition('Programmed')]),
];

export const KINDS: readonly KindEntry[] = [...ISTIO, ...GATEWAY];

/** The Gateway API release whose kinds and versions these are; conformance tools read it from every definition. */
export const GATEWAY_BUNDLE = { version: 'v1.6.0', channel: 'experimental' } as const;
