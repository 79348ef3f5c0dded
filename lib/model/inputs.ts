// SPDX-License-Identifier: Apache-2.0
//
// The model's inputs: one source a kind, filled by watches, by files, by tests. Keys are `namespace/name`, or `name`
// of cluster-scoped kinds.

import type { Collection, Source } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { DEFAULT_SETTINGS, type MeshSettings, SETTINGS } from './mesh-settings.ts';
import type {
  CustomObject,
  EndpointSlice,
  KubeObject,
  Namespace,
  Node,
  Pod,
  Service,
  ServiceAccount,
} from './object/object.ts';
import type { AuthorizationPolicy } from './policy/authorization-spec.ts';
import type { PeerAuthentication } from './policy/peer-authentication.ts';
import type { Gateway } from './waypoint/gateway.ts';

/** A collection for each kind, in the form of some wrapper. */
export interface ModelInputs {
  readonly settings: Source<MeshSettings>;
  readonly namespaces: Source<Namespace>;
  readonly nodes: Source<Node>;
  readonly pods: Source<Pod>;
  readonly services: Source<Service>;
  readonly endpointSlices: Source<EndpointSlice>;
  readonly serviceAccounts: Source<ServiceAccount>;
  readonly authorizationPolicies: Source<AuthorizationPolicy>;
  readonly peerAuthentications: Source<PeerAuthentication>;
  readonly gateways: Source<Gateway>;
  readonly gatewayClasses: Source<CustomObject>;
}

/** The kinds among the inputs, with what objects of a list do not say of themselves. */
export const INPUT_KINDS: Readonly<
  Record<Exclude<keyof ModelInputs, 'settings'>, { readonly apiVersion: string; readonly kind: string }>
> = {
  namespaces: { apiVersion: 'v1', kind: 'Namespace' },
  nodes: { apiVersion: 'v1', kind: 'Node' },
  pods: { apiVersion: 'v1', kind: 'Pod' },
  services: { apiVersion: 'v1', kind: 'Service' },
  endpointSlices: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
  serviceAccounts: { apiVersion: 'v1', kind: 'ServiceAccount' },
  authorizationPolicies: { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy' },
  peerAuthentications: { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication' },
  gateways: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway' },
  gatewayClasses: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'GatewayClass' },
};

export function createInputs(graph: Graph, settings: MeshSettings = DEFAULT_SETTINGS): ModelInputs {
  const inputs: ModelInputs = {
    settings: graph.source('settings'),
    namespaces: graph.source('namespaces'),
    nodes: graph.source('nodes'),
    pods: graph.source('pods'),
    services: graph.source('services'),
    endpointSlices: graph.source('endpoint slices'),
    serviceAccounts: graph.source('service accounts'),
    authorizationPolicies: graph.source('authorization policies'),
    peerAuthentications: graph.source('peer authentications'),
    gateways: graph.source('gateways'),
    gatewayClasses: graph.source('gateway classes'),
  };
  inputs.settings.set(SETTINGS, settings);
  return inputs;
}

/** The same object with the apiVersion and kind of its input. */
export function asKind<T extends KubeObject>(object: T, of: Exclude<keyof ModelInputs, 'settings'>): T {
  return { ...object, apiVersion: object.apiVersion ?? INPUT_KINDS[of].apiVersion, kind: INPUT_KINDS[of].kind };
}

/** Settings and the network of this cluster, which a label on the root namespace names. */
export interface EffectiveSettings extends MeshSettings {
  readonly network: string;
}

export type SettingsCollection = Collection<EffectiveSettings>;
