// SPDX-License-Identifier: Apache-2.0
// How an istiod gets to read another cluster: a token of the reader's service account there, in a kubeconfig, in a
// Secret here (Istio's multicluster contract: label `istio/multiCluster`, one key a cluster).
import { stringify } from 'yaml';

/** The account whose rights an istiod of another cluster has. */
export const READER = 'istio-reader-service-account';

/**
 * The Secret for a cluster.
 * @param id of the cluster
 * @param cluster its API server as a kubeconfig describes one
 */
export function remoteSecret(id: string, namespace: string, cluster: Readonly<Record<string, string>>, token: string) {
  const kubeconfig = stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: id, cluster }],
    users: [{ name: id, user: { token } }],
    contexts: [{ name: id, context: { cluster: id, user: id } }],
    'current-context': id,
  });
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: `istio-remote-secret-${id}`,
      namespace,
      labels: { 'istio/multiCluster': 'true' },
      annotations: { 'networking.istio.io/cluster': id },
    },
    stringData: { [id]: kubeconfig },
  };
}
