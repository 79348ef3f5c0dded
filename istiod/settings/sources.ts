// SPDX-License-Identifier: Apache-2.0
// What istiod reads: its cluster, or a folder in its place, other clusters, key sets.
import { join } from 'node:path';
import type { Given } from './given.ts';

/** Cluster id of a mesh of one cluster. */
const DEFAULT_CLUSTER_ID = 'Kubernetes';
const TWENTY_MINUTES_MS = 1_200_000;

export function readSources({ env, flags }: Given) {
  return {
    /** DNS domain of the cluster. */
    domain: flags['domain'] ?? 'cluster.local',
    clusterId: flags['clusterID'] ?? env.string('CLUSTER_ID', DEFAULT_CLUSTER_ID),
    kubeconfig: flags['kubeconfig'] ?? env.optional('KUBECONFIG'),
    /** A folder of YAML files to serve; there is no Kubernetes then. */
    sourceFolder: flags['sourceDir'],
    /** Where the root and other state are kept when there is no Kubernetes. */
    stateFolder: flags['stateDir'] ?? join(flags['sourceDir'] ?? '.', '.istiod'),
    /** A file with mesh settings, used until the ConfigMap `istio` exists. */
    meshConfigFile: flags['meshConfig'],
    /** Config map in istiod's namespace with the mesh's settings under the key `mesh`. */
    meshConfigMap: env.string('AMBIT_MESH_CONFIGMAP', 'istio'),
    /** How long the start waits for remote clusters. */
    remotePatienceMs: env.duration('PILOT_REMOTE_CLUSTER_TIMEOUT', 30_000),
    /** Unsafe ways of remote kubeconfigs that are let pass: exec, clientKey, … */
    allowedKubeconfigWays: env.list('PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS'),
    /** How key sets of RequestAuthentications are fetched. */
    keySets: {
      refreshMs: env.duration('PILOT_JWT_PUB_KEY_REFRESH_INTERVAL', TWENTY_MINUTES_MS),
      retryMs: 60_000,
      blockedRanges: env.list('BLOCKED_CIDRS_IN_JWKS_URIS'),
    },
  };
}
