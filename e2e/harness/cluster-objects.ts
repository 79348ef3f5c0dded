// SPDX-License-Identifier: Apache-2.0
// Objects of a cluster without kubelets and controllers: what those would have written is written here.
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { CONFIG_MAP, LEASE, NAMESPACE, POD, resourcePath, SERVICE_ACCOUNT } from '#lib/kube/kind.ts';

const ENROLLED = { 'ambient.istio.io/redirection': 'enabled' };

export interface PodFacts {
  readonly namespace: string;
  readonly account: string;
  readonly node: string;
  readonly ip: string;
}

export class ClusterObjects {
  readonly #client: KubeClient;

  constructor(kubeconfig: string) {
    this.#client = connectKube({ kubeconfig });
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async namespace(name: string): Promise<void> {
    await this.#client.create(NAMESPACE, { metadata: { name } });
  }

  async account(namespace: string, name: string): Promise<void> {
    await this.#client.create(SERVICE_ACCOUNT, { metadata: { namespace, name } });
  }

  /** A pod that runs. */
  async pod(name: string, { account, ip, namespace, node }: PodFacts): Promise<void> {
    const made = await this.#client.create(POD, {
      metadata: { namespace, name, annotations: ENROLLED },
      spec: { nodeName: node, serviceAccountName: account, containers: [{ name: 'main', image: 'main' }] },
    });
    const conditions = [{ type: 'Ready', status: 'True' }];
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions };
    await this.#client.update(POD, { ...made, status }, 'status');
  }

  /** A token for istiod, bound to a pod. */
  async token(namespace: string, account: string, pod: string): Promise<string> {
    const uid = (await this.#client.get(POD, { namespace, name: pod }))?.metadata.uid;
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: pod, uid };
    const spec = { audiences: ['istio-ca'], expirationSeconds: 36_000, boundObjectRef };
    const path = resourcePath(SERVICE_ACCOUNT, { namespace, name: account, subresource: 'token' });
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const { status } = JSON.parse(await this.#client.text(path, { body })) as { status: { token: string } };
    return status.token;
  }

  /** The mesh's root in a namespace, once it is there. */
  async root(namespace: string): Promise<string | undefined> {
    return (await this.#client.get(CONFIG_MAP, { namespace, name: 'istio-ca-root-cert' }))?.data?.['root-cert.pem'];
  }

  /** Who holds a lease, '' for nobody, and when that was last said. */
  async lease(name: string): Promise<{ readonly holder: string; readonly renewed: string }> {
    const found = await this.#client.get(LEASE, { namespace: 'istio-system', name });
    return { holder: found?.spec?.holderIdentity ?? '', renewed: found?.spec?.renewTime ?? '' };
  }
}
