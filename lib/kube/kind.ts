// SPDX-License-Identifier: Apache-2.0
// Kinds: how a kind of object is called in the API's paths. One constant a kind, so nothing guesses a plural.

import type {
  ConfigMap,
  EndpointSlice,
  EventObject,
  GenericObject,
  KubeObject,
  Lease,
  Namespace,
  Node,
  Pod,
  Secret,
  Service,
  ServiceAccount,
  TokenReview,
  WebhookConfiguration,
} from './object.ts';

/** A kind of object. The type parameter is carried at compile time only. */
export interface Kind<T extends KubeObject = GenericObject> {
  /** API group, empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never present at run time; lets `client.get(POD, ...)` return a Pod. */
  readonly shape?: T;
}

/** Names a kind, e.g. `kindOf('apps', 'v1', 'Deployment', 'deployments')`. */
export function kindOf<T extends KubeObject = GenericObject>(
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced = true,
): Kind<T> {
  return { group, version, kind, plural, namespaced };
}

export const NAMESPACE = kindOf<Namespace>('', 'v1', 'Namespace', 'namespaces', false);
export const NODE = kindOf<Node>('', 'v1', 'Node', 'nodes', false);
export const POD = kindOf<Pod>('', 'v1', 'Pod', 'pods');
export const SERVICE = kindOf<Service>('', 'v1', 'Service', 'services');
export const SERVICE_ACCOUNT = kindOf<ServiceAccount>('', 'v1', 'ServiceAccount', 'serviceaccounts');
export const CONFIG_MAP = kindOf<ConfigMap>('', 'v1', 'ConfigMap', 'configmaps');
export const SECRET = kindOf<Secret>('', 'v1', 'Secret', 'secrets');
export const EVENT = kindOf<EventObject>('', 'v1', 'Event', 'events');
export const ENDPOINT_SLICE = kindOf<EndpointSlice>('discovery.k8s.io', 'v1', 'EndpointSlice', 'endpointslices');
export const LEASE = kindOf<Lease>('coordination.k8s.io', 'v1', 'Lease', 'leases');
export const TOKEN_REVIEW = kindOf<TokenReview>('authentication.k8s.io', 'v1', 'TokenReview', 'tokenreviews', false);
export const CERTIFICATE_SIGNING_REQUEST = kindOf(
  'certificates.k8s.io',
  'v1',
  'CertificateSigningRequest',
  'certificatesigningrequests',
  false,
);
export const CLUSTER_TRUST_BUNDLE = kindOf(
  'certificates.k8s.io',
  'v1beta1',
  'ClusterTrustBundle',
  'clustertrustbundles',
  false,
);
export const VALIDATING_WEBHOOK_CONFIGURATION = kindOf<WebhookConfiguration>(
  'admissionregistration.k8s.io',
  'v1',
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
  false,
);
export const MUTATING_WEBHOOK_CONFIGURATION = kindOf<WebhookConfiguration>(
  'admissionregistration.k8s.io',
  'v1',
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
  false,
);
export const DEPLOYMENT = kindOf('apps', 'v1', 'Deployment', 'deployments');
export const HORIZONTAL_POD_AUTOSCALER = kindOf(
  'autoscaling',
  'v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
);
export const POD_DISRUPTION_BUDGET = kindOf('policy', 'v1', 'PodDisruptionBudget', 'poddisruptionbudgets');
export const DAEMON_SET = kindOf('apps', 'v1', 'DaemonSet', 'daemonsets');
export const AUTHORIZATION_POLICY = kindOf('security.istio.io', 'v1', 'AuthorizationPolicy', 'authorizationpolicies');
export const PEER_AUTHENTICATION = kindOf('security.istio.io', 'v1', 'PeerAuthentication', 'peerauthentications');
export const REQUEST_AUTHENTICATION = kindOf(
  'security.istio.io',
  'v1',
  'RequestAuthentication',
  'requestauthentications',
);
export const TELEMETRY = kindOf('telemetry.istio.io', 'v1', 'Telemetry', 'telemetries');
export const PROXY_CONFIG = kindOf('networking.istio.io', 'v1beta1', 'ProxyConfig', 'proxyconfigs');
export const GATEWAY = kindOf('gateway.networking.k8s.io', 'v1', 'Gateway', 'gateways');
export const GATEWAY_CLASS = kindOf('gateway.networking.k8s.io', 'v1', 'GatewayClass', 'gatewayclasses', false);

export const SERVICE_ENTRY = kindOf('networking.istio.io', 'v1', 'ServiceEntry', 'serviceentries');
export const WORKLOAD_ENTRY = kindOf('networking.istio.io', 'v1', 'WorkloadEntry', 'workloadentries');
export const WORKLOAD_GROUP = kindOf('networking.istio.io', 'v1', 'WorkloadGroup', 'workloadgroups');

export const VIRTUAL_SERVICE = kindOf('networking.istio.io', 'v1', 'VirtualService', 'virtualservices');
export const DESTINATION_RULE = kindOf('networking.istio.io', 'v1', 'DestinationRule', 'destinationrules');
export const HTTP_ROUTE = kindOf('gateway.networking.k8s.io', 'v1', 'HTTPRoute', 'httproutes');
export const GRPC_ROUTE = kindOf('gateway.networking.k8s.io', 'v1', 'GRPCRoute', 'grpcroutes');
export const TLS_ROUTE = kindOf('gateway.networking.k8s.io', 'v1', 'TLSRoute', 'tlsroutes');
export const TCP_ROUTE = kindOf('gateway.networking.k8s.io', 'v1', 'TCPRoute', 'tcproutes');
export const BACKEND_TLS_POLICY = kindOf('gateway.networking.k8s.io', 'v1', 'BackendTLSPolicy', 'backendtlspolicies');
export const BACKEND_TRAFFIC_POLICY = kindOf(
  'gateway.networking.x-k8s.io',
  'v1alpha1',
  'XBackendTrafficPolicy',
  'xbackendtrafficpolicies',
);
export const LISTENER_SET = kindOf('gateway.networking.k8s.io', 'v1', 'ListenerSet', 'listenersets');
export const REFERENCE_GRANT = kindOf('gateway.networking.k8s.io', 'v1beta1', 'ReferenceGrant', 'referencegrants');

/** `v1` or `group/version`. */
export function apiVersionOf(kind: Kind<KubeObject>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `Pod` or `Gateway.gateway.networking.k8s.io`, for messages. */
export function kindName(kind: Kind<KubeObject>): string {
  return kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
}

/** Where in the API an object, or a collection when no name is given, lies. */
export interface ResourceAddress {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/** The path of an object or a collection (Kubernetes API concepts, "Resource URIs"). */
export function resourcePath(kind: Kind<KubeObject>, address: ResourceAddress = {}): string {
  let path = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  if (kind.namespaced && address.namespace !== undefined && address.namespace !== '') {
    path += `/namespaces/${encodeURIComponent(address.namespace)}`;
  }
  path += `/${kind.plural}`;
  if (address.name !== undefined) path += `/${encodeURIComponent(address.name)}`;
  if (address.subresource !== undefined) path += `/${address.subresource}`;
  return path;
}
