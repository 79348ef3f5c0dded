// SPDX-License-Identifier: Apache-2.0
// The plugin's way to the API: the agent's own service account, as a kubeconfig file that is JSON (which is YAML too).

export interface ServiceAccountAccess {
  /** `https://HOST:PORT` of the API server, as reached from the node. */
  readonly server: string;
  readonly caPem: string;
  readonly token: string;
}

export function kubeconfigText({ server, caPem, token }: ServiceAccountAccess): string {
  const name = 'istio-cni';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64') } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
