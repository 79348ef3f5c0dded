// SPDX-License-Identifier: Apache-2.0
//
// Labels and annotations the model reads. Istio's own names, since they stand in users' YAML; ours begin ambit.dev.

export const DATAPLANE_MODE = 'istio.io/dataplane-mode';
export const REDIRECTION = 'ambient.istio.io/redirection';
export const REVISION = 'istio.io/rev';
export const TAG = 'istio.io/tag';
/** The ValidatingWebhookConfiguration of objects without a revision: its revision is the default one. */
export const DEFAULT_VALIDATOR = 'istiod-default-validator';
export const NETWORK = 'topology.istio.io/network';
export const TUNNEL = 'networking.istio.io/tunnel';
export const TRAFFIC_DISTRIBUTION = 'networking.istio.io/traffic-distribution';
export const DRY_RUN = 'istio.io/dry-run';

export const USE_WAYPOINT = 'istio.io/use-waypoint';
export const USE_WAYPOINT_NAMESPACE = 'istio.io/use-waypoint-namespace';
export const USE_WAYPOINT_CANARY = 'istio.io/use-waypoint-canary';
export const USE_WAYPOINT_CANARY_NAMESPACE = 'istio.io/use-waypoint-canary-namespace';
export const USE_WAYPOINT_CANARY_WEIGHT = 'istio.io/use-waypoint-canary-weight';
export const INGRESS_USE_WAYPOINT = 'istio.io/ingress-use-waypoint';
export const WAYPOINT_FOR = 'istio.io/waypoint-for';
export const WAYPOINT_INBOUND_BINDING = 'ambient.istio.io/waypoint-inbound-binding';
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
export const GATEWAY_MANAGED = 'gateway.istio.io/managed';
export const GATEWAY_CONTROLLER_VERSION = 'gateway.istio.io/controller-version';
export const GATEWAY_SERVICE_ACCOUNT = 'gateway.istio.io/service-account';

export const WORKLOAD_NAME = 'service.istio.io/workload-name';
export const CANONICAL_NAME = 'service.istio.io/canonical-name';
export const CANONICAL_REVISION = 'service.istio.io/canonical-revision';

export const REGION = 'topology.kubernetes.io/region';
export const ZONE = 'topology.kubernetes.io/zone';
export const SUBZONE = 'topology.istio.io/subzone';

/** On a Namespace: `tunnel` keeps pods of one node from being joined without one. */
export const SAME_NODE = 'ambit.dev/same-node';

/** Label of a Namespace: `enabled` has node proxies read requests along that its pods send and get in clear. */
export const HTTP_METRICS = 'ambit.dev/http-metrics';

/** Label of an EndpointSlice that names its Service. */
export const SLICE_SERVICE = 'kubernetes.io/service-name';
