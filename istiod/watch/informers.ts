// SPDX-License-Identifier: Apache-2.0
// The collections istiod watches. Made together, started together; ready when every one has been listed once.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient, Selection } from '#lib/kube/client.ts';
import { Informer } from '#lib/kube/informer.ts';
import {
  AUTHORIZATION_POLICY,
  BACKEND_TLS_POLICY,
  BACKEND_TRAFFIC_POLICY,
  CONFIG_MAP,
  DEPLOYMENT,
  DESTINATION_RULE,
  ENDPOINT_SLICE,
  GATEWAY,
  GATEWAY_CLASS,
  GRPC_ROUTE,
  HORIZONTAL_POD_AUTOSCALER,
  HTTP_ROUTE,
  type Kind,
  LISTENER_SET,
  MUTATING_WEBHOOK_CONFIGURATION,
  NAMESPACE,
  NODE,
  PEER_AUTHENTICATION,
  POD,
  POD_DISRUPTION_BUDGET,
  PROXY_CONFIG,
  REFERENCE_GRANT,
  REQUEST_AUTHENTICATION,
  SECRET,
  SERVICE,
  SERVICE_ACCOUNT,
  SERVICE_ENTRY,
  TCP_ROUTE,
  TELEMETRY,
  TLS_ROUTE,
  VALIDATING_WEBHOOK_CONFIGURATION,
  VIRTUAL_SERVICE,
  WORKLOAD_ENTRY,
  WORKLOAD_GROUP,
} from '#lib/kube/kind.ts';
import type { KubeObject, Node, Pod } from '#lib/kube/object.ts';
import { DEFAULTS_FOR_CLASS } from '#lib/model/gateway/parameters.ts';
import { DEFAULT_VALIDATOR, GATEWAY_MANAGED, TAG } from '#lib/model/object/names.ts';
import type { IstiodMetrics } from '../metrics.ts';
import type { SourceHealth } from './source-health.ts';

/** Label of Secrets that hold other clusters' kubeconfigs. */
const REMOTE_SECRET = 'istio/multiCluster=true';

const OWN_ANNOTATION = /(^|\.)(istio\.io|ambit\.dev)\//;

/** Configuration, as people write it. */
export const CONFIG_KINDS = [
  'namespaces',
  'services',
  'gateways',
  'authorizationPolicies',
  'peerAuthentications',
  'requestAuthentications',
  'telemetries',
  'proxyConfigs',
  'serviceEntries',
  'workloadEntries',
  'workloadGroups',
  'virtualServices',
  'destinationRules',
  'httpRoutes',
  'grpcRoutes',
  'tlsRoutes',
  'tcpRoutes',
  'listenerSets',
  'backendTlsPolicies',
  'backendTrafficPolicies',
  'referenceGrants',
  'meshConfig',
] as const;

export type Informers = ReturnType<typeof createInformers>;

/** What every informer needs. */
export interface InformerMakerOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly health: SourceHealth;
  readonly clusterId: string;
}

export interface InformersOptions extends InformerMakerOptions {
  /** The namespace istiod runs in. */
  readonly namespace: string;
  /** Name of the config map that carries the root certificate. */
  readonly rootConfigMap: string;
  /** Name of the config map that carries a revocation list. */
  readonly crlConfigMap: string;
  /** Name of the config map that carries the mesh's settings. */
  readonly meshConfigMap: string;
}

export function createInformers(options: InformersOptions) {
  const make = maker(options);
  const named = (name: string, namespace?: string): Selection => ({
    fieldSelector: `metadata.name=${name}`,
    ...(namespace === undefined ? {} : { namespace }),
  });
  return {
    ...clusterKinds(make),
    authorizationPolicies: make(AUTHORIZATION_POLICY),
    peerAuthentications: make(PEER_AUTHENTICATION),
    serviceEntries: make(SERVICE_ENTRY),
    workloadEntries: make(WORKLOAD_ENTRY),
    workloadGroups: make(WORKLOAD_GROUP),
    gatewayClasses: make(GATEWAY_CLASS),
    requestAuthentications: make(REQUEST_AUTHENTICATION),
    telemetries: make(TELEMETRY),
    proxyConfigs: make(PROXY_CONFIG),
    virtualServices: make(VIRTUAL_SERVICE),
    destinationRules: make(DESTINATION_RULE),
    listenerSets: make(LISTENER_SET),
    httpRoutes: make(HTTP_ROUTE),
    grpcRoutes: make(GRPC_ROUTE),
    tlsRoutes: make(TLS_ROUTE),
    tcpRoutes: make(TCP_ROUTE),
    backendTlsPolicies: make(BACKEND_TLS_POLICY),
    backendTrafficPolicies: make(BACKEND_TRAFFIC_POLICY),
    referenceGrants: make(REFERENCE_GRANT),
    deployments: make(DEPLOYMENT, { selection: { labelSelector: GATEWAY_MANAGED } }),
    autoscalers: make(HORIZONTAL_POD_AUTOSCALER, { selection: { labelSelector: GATEWAY_MANAGED } }),
    disruptionBudgets: make(POD_DISRUPTION_BUDGET, { selection: { labelSelector: GATEWAY_MANAGED } }),
    gatewayDefaults: make(CONFIG_MAP, {
      selection: { labelSelector: DEFAULTS_FOR_CLASS, namespace: options.namespace },
    }),
    remoteSecrets: make(SECRET, { selection: { labelSelector: REMOTE_SECRET, namespace: options.namespace } }),
    tagWebhooks: make(MUTATING_WEBHOOK_CONFIGURATION, { selection: { labelSelector: TAG }, trim: onlyMetadata }),
    defaultValidators: make(VALIDATING_WEBHOOK_CONFIGURATION, {
      selection: named(DEFAULT_VALIDATOR),
      trim: onlyMetadata,
    }),
    rootConfigMaps: make(CONFIG_MAP, { selection: named(options.rootConfigMap) }),
    crlConfigMaps: make(CONFIG_MAP, { selection: named(options.crlConfigMap) }),
    meshConfig: make(CONFIG_MAP, { selection: named(options.meshConfigMap, options.namespace) }),
  };
}

/** What is read of every cluster of the mesh; the rest counts in one of them only. */
function clusterKinds(make: ReturnType<typeof maker>) {
  return {
    namespaces: make(NAMESPACE),
    nodes: make(NODE, { trim: trimNode }),
    pods: make(POD, { trim: trimPod }),
    services: make(SERVICE),
    endpointSlices: make(ENDPOINT_SLICE),
    serviceAccounts: make(SERVICE_ACCOUNT),
    gateways: make(GATEWAY),
  };
}

export type ClusterInformers = ReturnType<typeof clusterKinds>;

/** Informers of a remote cluster. */
export function createClusterInformers(options: InformerMakerOptions): ClusterInformers {
  return clusterKinds(maker(options));
}

/** Makes informers that count what they see and report how they fare. */
function maker(options: InformerMakerOptions) {
  const { client, clock, clusterId, health, log, metrics, random } = options;
  return <T extends KubeObject>(kind: Kind<T>, extra: { selection?: Selection; trim?: (object: T) => T } = {}) => {
    const informer = new Informer<T>({
      client,
      kind,
      clock,
      random,
      log,
      ...extra,
      onHealth: (healthy, reason) => {
        if (!healthy) metrics.syncErrors.inc({ cluster: clusterId });
        health.report(clusterId, kind.plural, healthy, reason);
      },
    });
    void informer.whenSynced().then(() => health.report(clusterId, kind.plural, true, ''));
    const counter = kind.group.endsWith('istio.io') ? metrics.configEvents : metrics.registryEvents;
    informer.subscribe((changes) => {
      for (const change of changes) counter.inc({ type: kind.kind, event: eventName(change) });
    });
    return informer;
  };
}

function eventName(change: { readonly op: 'set' | 'delete'; readonly old?: unknown }): string {
  if (change.op === 'delete') return 'delete';
  return change.old === undefined ? 'add' : 'update';
}

/** Of a webhook configuration only its labels are read; its bundles are large. */
function onlyMetadata<T extends KubeObject>(object: T): T {
  return { metadata: withoutManagedFields(object).metadata } as T;
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}

/** Of a pod we need where it runs, as whom, its ports and its state: not its volumes, environment and commands, and not
 * what others have noted on it. At 100,000 pods each field left costs megabytes. */
export function trimPod(pod: Pod): Pod {
  const { metadata } = withoutManagedFields(pod);
  const { spec, status } = pod;
  const withPorts = (list: NonNullable<Pod['spec']>['containers']) =>
    (list ?? [])
      .filter(({ ports }) => ports !== undefined && ports.length > 0)
      .map(({ name, ports = [], restartPolicy }) => ({ name, ports, ...(restartPolicy && { restartPolicy }) }));
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return {
    ...typeOf(pod),
    metadata: { ...metadata, annotations: ownAnnotations(metadata.annotations) },
    spec: {
      ...pick(spec, ['nodeName', 'serviceAccountName', 'hostNetwork']),
      containers: withPorts(spec?.containers),
      initContainers: withPorts(spec?.initContainers),
    },
    status: {
      ...pick(status, ['phase', 'podIP', 'podIPs', 'hostIP']),
      conditions: ready === undefined ? [] : [{ type: ready.type, status: ready.status }],
    },
  };
}

/** Those the mesh reads; others may hold whole manifests. */
function ownAnnotations(all: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const key in all) if (OWN_ANNOTATION.test(key)) own[key] = all[key]!;
  return own;
}

/** A node's status changes every few seconds with its heartbeat; only its place and addresses matter here. */
function trimNode(node: Node): Node {
  const { metadata } = withoutManagedFields(node);
  return { ...typeOf(node), metadata, status: pick(node.status, ['addresses']) };
}

function typeOf({ apiVersion = '', kind = '' }: KubeObject) {
  return { apiVersion, kind };
}

function pick<T extends object, const K extends keyof T>(from: T | undefined, keys: readonly K[]): Pick<T, K> {
  const result: Partial<T> = {};
  for (const key of keys) if (from?.[key] !== undefined) result[key] = from[key];
  return result as Pick<T, K>;
}
