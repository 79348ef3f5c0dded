// SPDX-License-Identifier: Apache-2.0
//
// Settings of the whole mesh that shape what is computed, from istiod's configuration and the mesh config map.

import { DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import type { Labels } from './object/selector.ts';

export interface MeshSettings {
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Other names of the trust domain, accepted in policies. */
  readonly trustDomainAliases: readonly string[];
  /** Where policies for the whole mesh live, and the Namespace whose label names the network. */
  readonly rootNamespace: string;
  /** DNS domain of the cluster. */
  readonly domain: string;
  /** Own revision; '' takes every object, otherwise objects labelled with another are left alone. */
  readonly revision: string;
  /** Namespaces to look at: those that any of these selects. Empty is all. */
  readonly discoverySelectors: readonly Labels[];
  /** A waypoint's own identity is let in by a policy made for it (PILOT_AUTO_ALLOW_WAYPOINT_POLICY). */
  readonly autoAllowWaypoints: boolean;
  /** Policies marked dry-run are sent (AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY). */
  readonly dryRunPolicies: boolean;
  /** Gateways of Istio's own classes are left to an Istio beside (AMBIT_OWN_GATEWAY_CLASSES_ONLY). */
  readonly ownClassesOnly: boolean;
  /** Image of the proxies that are run for Gateways (AMBIT_WAYPOINT_IMAGE). */
  readonly proxyImage: string;
  /** Where istiod runs, and the name of its Service: what those proxies connect to. */
  readonly systemNamespace: string;
  readonly istiodService: string;
}

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
  ownClassesOnly: false,
  proxyImage: 'ambit/waypoint:0.1.0',
  systemNamespace: 'istio-system',
  istiodService: 'istiod',
};

/** Key of the one item in the settings' collection. */
export const SETTINGS = 'mesh';
