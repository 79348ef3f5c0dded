// SPDX-License-Identifier: Apache-2.0
// What istiod makes of the objects it reads, and how soon it tells.
import { DEFAULT_TRUST_DOMAIN } from '#lib/mesh/identity.ts';
import type { Given } from './given.ts';

export function readMesh({ env }: Given) {
  return {
    /** Trust domain until the mesh's settings name another. */
    trustDomain: env.string('TRUST_DOMAIN', DEFAULT_TRUST_DOMAIN),
    /** Whether alpha kinds of Gateway API (gateway.networking.x-k8s.io) count. */
    alphaGatewayApi: env.boolean('PILOT_ENABLE_ALPHA_GATEWAY_API', false),
    autoAllowWaypoints: env.boolean('PILOT_AUTO_ALLOW_WAYPOINT_POLICY', false),
    dryRunPolicies: env.boolean('AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY', false),
    /** Whether machines may register with WorkloadGroups. */
    registerMachines: env.boolean('PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION', true),
    /** How long a registered machine may be gone before its entry is. */
    registrationGraceMs: env.duration('PILOT_WORKLOAD_ENTRY_GRACE_PERIOD', 10_000),
    /** Whether hosts of ServiceEntries without addresses are given some. */
    giveAddresses: env.boolean('PILOT_ENABLE_IP_AUTOALLOCATE', true),
    entriesSelectPods: env.boolean('PILOT_ENABLE_SERVICEENTRY_SELECT_PODS', true),
    servicesSelectEntries: env.boolean('PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES', true),
    /** Whether a WorkloadEntry whose probe failed gets no traffic. */
    entryHealth: env.boolean('AMBIT_WORKLOAD_ENTRY_HEALTH', true),
    /** A change waits at most this long for others to join it, once something was sent recently. */
    debounceAfterMs: env.duration('PILOT_DEBOUNCE_AFTER', 100),
    /** A mesh that changes without pause is still told after this long. */
    debounceMaxMs: env.duration('PILOT_DEBOUNCE_MAX', 10_000),
  };
}
