// SPDX-License-Identifier: Apache-2.0
// How an istiod gets to read another cluster: a token of the reader's service account there, in a kubeconfig, in a
// Secret here (Istio's multicluster contract: label `istio/multiCluster`, one key a cluster).
import { stringify } from 'yaml';
import type { KubeClient } from './client.ts';
import { resourcePath, SERVICE_ACCOUNT } from './kind.ts';

/** The account whose rights an istiod of another cluster has. */
export const READER = 'istio-reader-service-account';

export interface ReaderToken {
  readonly token: string;
  /** RFC 3339; the API server may allow less than was asked for. */
  readonly expires: string;
}

/** Asks the API server for a token of a service account. */
export async function readerToken(
  client: KubeClient,
  account: { readonly namespace: string; readonly name: string },
  seconds: number,
): Promise<ReaderToken> {
  const spec = { expirationSeconds: Math.floor(seconds) };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  const path = resourcePath(SERVICE_ACCOUNT, { ...account, subresource: 'token' });
  const { status = {} } = JSON.parse(await client.text(path, { body })) as {
    status?: { token?: string; expirationTimestamp?: string };
  };
  return { token: status.token ?? '', expires: status.expirationTimestamp ?? 'unknown' };
}

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
