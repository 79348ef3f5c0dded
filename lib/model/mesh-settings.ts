// SPDX-License-Identifier: Apache-2.0
//
// Settings of the whole mesh that shape what is computed, from istiod's configuration and the mesh config map.

import type { PathNormalisation, Provider, ProxyHeaders } from '#lib/mesh/http/waypoint.ts';
import { DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import { NO_PROXY_VALUES, type ProxyValues } from './gateway/proxy-config.ts';
import type { LabelSelector } from './object/label-selector.ts';
import type { CustomTagSpec } from './telemetry/telemetry-spec.ts';

export interface MeshSettings {
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Other names of the trust domain, accepted in policies and of waypoints' clients. */
  readonly trustDomainAliases: readonly string[];
  /** Where policies for the whole mesh live, and the Namespace whose label names the network. */
  readonly rootNamespace: string;
  /** DNS domain of the cluster. */
  readonly domain: string;
  /** Own revision; '' takes every object, otherwise objects labelled with another are left alone. */
  readonly revision: string;
  /** Namespaces to look at: those that any of these selects. Empty is all. */
  readonly discoverySelectors: readonly LabelSelector[];
  /** Who sees a ServiceEntry: the first that selects its namespace counts, and everybody when none does. */
  readonly visibility: readonly VisibilityRule[];
  /** Which Services of remote clusters are ours too; the first that selects one counts, and none when none does. */
  readonly serviceScopes: readonly ServiceScope[];
  /** A waypoint's own identity is let in by a policy made for it (PILOT_AUTO_ALLOW_WAYPOINT_POLICY). */
  readonly autoAllowWaypoints: boolean;
  /** Policies marked dry-run are sent (AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY). */
  readonly dryRunPolicies: boolean;
  /** How waypoints read paths before anything is decided about them. */
  readonly pathNormalisation: PathNormalisation;
  /** Which headers waypoints add; undefined: those that Envoy does. */
  readonly proxyHeaders: ProxyHeaders | undefined;
  /** Whom waypoints may ask or tell something. */
  readonly extensionProviders: readonly ExtensionProvider[];
  /** Access log of waypoints: '' leaves it to the proxies' own settings. */
  readonly accessLog: {
    readonly file: string;
    readonly format: string;
    readonly json: boolean;
    readonly jsonFields: Readonly<Record<string, string>>;
  };
  /** Who is told where no Telemetry names anybody: names of extension providers. */
  readonly defaultProviders: { readonly tracing: readonly string[]; readonly accessLogging: readonly string[] };
  /** Of requests that carry no decision (PILOT_TRACE_SAMPLING), 0 to 1; and tags of all spans. */
  readonly tracing: { readonly share: number; readonly tags: Readonly<Record<string, CustomTagSpec>> };
  /** How proxies run, where no ProxyConfig says. */
  readonly proxy: ProxyValues;
  /** Gateways of Istio's own classes are left to an Istio beside (AMBIT_OWN_GATEWAY_CLASSES_ONLY). */
  readonly ownClassesOnly: boolean;
  /** Alpha kinds of Gateway API (gateway.networking.x-k8s.io) count. */
  readonly alphaGatewayApi: boolean;
  /** Image of the proxies that are run for Gateways (AMBIT_WAYPOINT_IMAGE). */
  readonly proxyImage: string;
  /** Where istiod runs, and the name of its Service: what those proxies connect to. */
  readonly systemNamespace: string;
  readonly istiodService: string;
  /** A ServiceEntry's selector may select Pods (PILOT_ENABLE_SERVICEENTRY_SELECT_PODS). */
  readonly entriesSelectPods: boolean;
  /** A Service's selector may select WorkloadEntries (PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES). */
  readonly servicesSelectEntries: boolean;
  /** A WorkloadEntry whose condition `Healthy` is False gets no traffic (AMBIT_WORKLOAD_ENTRY_HEALTH). */
  readonly entryHealth: boolean;
}

/** One of `extensionProviders`, before it is known which service its host is. */
export interface ExtensionProvider extends Omit<Provider, 'target'> {
  /** `host` or `namespace/host`; '' when it is no service. */
  readonly service: string;
  readonly port: number;
}

/** One rule of `serviceEntryVisibility`. */
export interface VisibilityRule {
  /** All must select the namespace; none is every namespace. */
  readonly namespaces: readonly LabelSelector[];
  /** `none`: the ServiceEntry is not told to anybody. */
  readonly visibility: 'public' | 'namespace' | 'none';
}

/** One of `serviceScopeConfigs`. */
export interface ServiceScope {
  readonly namespaces: LabelSelector;
  readonly services: LabelSelector;
  readonly global: boolean;
}

const EVERY: LabelSelector = { matchLabels: {}, matchExpressions: [] };

/** A Service labelled `istio.io/global: "true"` is one service with those of its name in other clusters. */
const GLOBAL_BY_LABEL: ServiceScope = {
  namespaces: EVERY,
  services: { matchLabels: { 'istio.io/global': 'true' }, matchExpressions: [] },
  global: true,
};

export const DEFAULT_SETTINGS: MeshSettings = {
  clusterId: 'Kubernetes',
  trustDomain: DEFAULT_TRUST_DOMAIN,
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  domain: 'cluster.local',
  revision: '',
  discoverySelectors: [],
  autoAllowWaypoints: false,
  dryRunPolicies: false,
  pathNormalisation: 'base',
  proxyHeaders: undefined,
  extensionProviders: [],
  accessLog: { file: '', format: '', json: false, jsonFields: {} },
  defaultProviders: { tracing: [], accessLogging: [] },
  tracing: { share: 0.01, tags: {} },
  proxy: NO_PROXY_VALUES,
  ownClassesOnly: false,
  alphaGatewayApi: false,
  proxyImage: 'ambit/waypoint:0.1.0',
  systemNamespace: 'istio-system',
  istiodService: 'istiod',
  visibility: [],
  serviceScopes: [GLOBAL_BY_LABEL],
  entriesSelectPods: true,
  servicesSelectEntries: true,
  entryHealth: true,
};

/** Key of the one item in the settings' collection. */
export const SETTINGS = 'mesh';
