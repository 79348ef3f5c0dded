// SPDX-License-Identifier: Apache-2.0
//
// The model's inputs: one source a kind, filled by watches, by files, by tests. Keys are `namespace/name`, or `name`
// of cluster-scoped kinds.

import type { Collection, Source } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { ListenerSet } from './gateway/listener-set.ts';
import type { ConfigMap } from './gateway/parameters.ts';
import type { ProxyConfigObject } from './gateway/proxy-config.ts';
import type { NamedData } from './l7/named-data.ts';
import { DEFAULT_SETTINGS, type MeshSettings, SETTINGS } from './mesh-settings.ts';
import type { ServiceEntry, WorkloadEntry, WorkloadGroup } from './object/entry.ts';
import {
  type CustomObject,
  type EndpointSlice,
  type KubeObject,
  keyOf,
  type Namespace,
  type Node,
  type Pod,
  type Service,
  type ServiceAccount,
} from './object/object.ts';
import type { AuthorizationPolicy } from './policy/authorization-spec.ts';
import type { PeerAuthentication } from './policy/peer-authentication.ts';
import type { RequestAuthentication } from './policy/request-authentication.ts';
import type { BackendTlsPolicy } from './route/backend-tls.ts';
import type { BackendTrafficPolicy } from './route/backend-traffic.ts';
import type { DestinationRule } from './route/destination-rule-spec.ts';
import type { GrpcRoute, HttpRoute, ReferenceGrant, StreamRoute } from './route/spec.ts';
import type { VirtualService } from './route/virtual-service-spec.ts';
import type { TelemetryObject } from './telemetry/telemetry-spec.ts';
import type { Gateway } from './waypoint/gateway.ts';

/** What objects of a list do not say of themselves. The type parameter is carried at compile time only. */
interface InputKind<T extends KubeObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly shape?: T;
}

function input<T extends KubeObject>(apiVersion: string, kind: string): InputKind<T> {
  return { apiVersion, kind };
}

const GATEWAY_API = 'gateway.networking.k8s.io/v1';
const ALPHA_GATEWAY_API = 'gateway.networking.x-k8s.io/v1alpha1';
const NETWORKING = 'networking.istio.io/v1';
const SECURITY = 'security.istio.io/v1';
const ADMISSION = 'admissionregistration.k8s.io/v1';

/** The kinds among the inputs. A new kind is a line here, and one in istiod/watch/informers.ts. */
export const INPUT_KINDS = {
  namespaces: input<Namespace>('v1', 'Namespace'),
  nodes: input<Node>('v1', 'Node'),
  pods: input<Pod>('v1', 'Pod'),
  services: input<Service>('v1', 'Service'),
  endpointSlices: input<EndpointSlice>('discovery.k8s.io/v1', 'EndpointSlice'),
  serviceAccounts: input<ServiceAccount>('v1', 'ServiceAccount'),
  authorizationPolicies: input<AuthorizationPolicy>(SECURITY, 'AuthorizationPolicy'),
  peerAuthentications: input<PeerAuthentication>(SECURITY, 'PeerAuthentication'),
  serviceEntries: input<ServiceEntry>(NETWORKING, 'ServiceEntry'),
  workloadEntries: input<WorkloadEntry>(NETWORKING, 'WorkloadEntry'),
  workloadGroups: input<WorkloadGroup>(NETWORKING, 'WorkloadGroup'),
  gateways: input<Gateway>(GATEWAY_API, 'Gateway'),
  gatewayClasses: input<CustomObject>(GATEWAY_API, 'GatewayClass'),
  listenerSets: input<ListenerSet>(GATEWAY_API, 'ListenerSet'),
  httpRoutes: input<HttpRoute>(GATEWAY_API, 'HTTPRoute'),
  grpcRoutes: input<GrpcRoute>(GATEWAY_API, 'GRPCRoute'),
  tlsRoutes: input<StreamRoute>(GATEWAY_API, 'TLSRoute'),
  tcpRoutes: input<StreamRoute>(GATEWAY_API, 'TCPRoute'),
  backendTlsPolicies: input<BackendTlsPolicy>(GATEWAY_API, 'BackendTLSPolicy'),
  backendTrafficPolicies: input<BackendTrafficPolicy>(ALPHA_GATEWAY_API, 'XBackendTrafficPolicy'),
  requestAuthentications: input<RequestAuthentication>(SECURITY, 'RequestAuthentication'),
  telemetries: input<TelemetryObject>('telemetry.istio.io/v1', 'Telemetry'),
  proxyConfigs: input<ProxyConfigObject>('networking.istio.io/v1beta1', 'ProxyConfig'),
  virtualServices: input<VirtualService>(NETWORKING, 'VirtualService'),
  destinationRules: input<DestinationRule>(NETWORKING, 'DestinationRule'),
  referenceGrants: input<ReferenceGrant>('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant'),
  /** Of all ConfigMaps those with parameters for the Gateways of a class. */
  gatewayDefaults: input<ConfigMap>('v1', 'ConfigMap'),
  /** Those with a revision tag. */
  tagWebhooks: input<KubeObject>(ADMISSION, 'MutatingWebhookConfiguration'),
  /** The one that says which revision is the default. */
  defaultValidators: input<KubeObject>(ADMISSION, 'ValidatingWebhookConfiguration'),
} as const;

export type InputName = keyof typeof INPUT_KINDS;

/** What an input holds. */
export type InputObject<N extends InputName> = NonNullable<(typeof INPUT_KINDS)[N]['shape']>;

/** A source for each kind, the mesh's settings, and the ConfigMaps that Gateways name as their parameters. */
export type ModelInputs = {
  readonly settings: Source<MeshSettings>;
  readonly gatewayParameters: Source<ConfigMap>;
  readonly keySets: Source<string>;
  /** Secrets and ConfigMaps that configuration names, by `Kind namespace/name`. */
  readonly namedData: Source<NamedData>;
} & {
  readonly [N in InputName]: Source<InputObject<N>>;
};

export const INPUT_NAMES = Object.keys(INPUT_KINDS) as readonly InputName[];

/** `endpointSlices` as people read it. */
function title(name: InputName): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

export function createInputs(graph: Graph, settings: MeshSettings = DEFAULT_SETTINGS): ModelInputs {
  const kinds = Object.fromEntries(INPUT_NAMES.map((name) => [name, graph.source<KubeObject>(title(name))]));
  const inputs = {
    settings: graph.source<MeshSettings>('settings'),
    gatewayParameters: graph.source<ConfigMap>('gateway parameters'),
    keySets: graph.source<string>('key sets', (a, b) => a === b),
    namedData: graph.source<NamedData>('named data'),
    ...kinds,
  } as ModelInputs;
  inputs.settings.set(SETTINGS, settings);
  return inputs;
}

/** Files an object under the input of its kind; false when no input is of it. */
export function putObject(inputs: ModelInputs, object: KubeObject): boolean {
  const group = (object.apiVersion ?? '').split('/')[0];
  let filed = false;
  for (const name of INPUT_NAMES) {
    const { apiVersion, kind } = INPUT_KINDS[name];
    if (kind !== object.kind || apiVersion.split('/')[0] !== group) continue;
    (inputs[name] as Source<KubeObject>).set(keyOf(object), object);
    filed = true;
  }
  return filed;
}

/** The same object with the apiVersion and kind of its input. */
export function asKind<T extends KubeObject>(object: T, of: InputName): T {
  return { ...object, apiVersion: object.apiVersion ?? INPUT_KINDS[of].apiVersion, kind: INPUT_KINDS[of].kind };
}

/** Settings and the network of this cluster, which a label on the root namespace names. */
export interface EffectiveSettings extends MeshSettings {
  readonly network: string;
}

export type SettingsCollection = Collection<EffectiveSettings>;
