// SPDX-License-Identifier: Apache-2.0
// Signs approved CertificateSigningRequests of Kubernetes' own signers with the cluster's authority.
// Source: Kubernetes documentation, "Certificates and Certificate Signing Requests".
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import { type KubeObject, listAt, objectAt, textAt } from '../json.ts';
import type { Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import type { Pki } from './pki.ts';

const CSRS = 'certificatesigningrequests.certificates.k8s.io';
/** Signers and whether their certificates are for servers. */
const SIGNERS: Readonly<Record<string, boolean>> = {
  'kubernetes.io/kube-apiserver-client': false,
  'kubernetes.io/kube-apiserver-client-kubelet': false,
  'kubernetes.io/kubelet-serving': true,
};

const has = (csr: KubeObject, type: string): boolean =>
  listAt(csr, 'status', 'conditions').some((item) => textAt(item, 'type') === type);

export class CsrSigner {
  readonly #store: Store;
  readonly #pki: Pki;
  readonly #clock: Clock;

  constructor(store: Store, pki: Pki, clock: Clock) {
    this.#store = store;
    this.#pki = pki;
    this.#clock = clock;
  }

  start(): void {
    const requests = this.#store.collection(CSRS);
    requests.listen(({ type, entry }) => {
      if (type !== 'DELETED') void this.#sign(entry);
    });
    for (const entry of requests.list()) void this.#sign(entry);
  }

  async #sign(entry: Entry): Promise<void> {
    const csr = entry.object;
    const server = SIGNERS[textAt(csr, 'spec', 'signerName') ?? ''];
    if (server === undefined || !has(csr, 'Approved') || has(csr, 'Failed') || textAt(csr, 'status', 'certificate'))
      return;
    const status = { ...objectAt(csr, 'status') };
    try {
      const request = Buffer.from(textAt(csr, 'spec', 'request') ?? '', 'base64').toString('utf8');
      const certificate = await this.#pki.signRequest(request, server, this.#clock.now());
      status['certificate'] = Buffer.from(certificate).toString('base64');
    } catch (error) {
      const failed = {
        type: 'Failed',
        status: 'True',
        reason: 'SignerValidationFailure',
        message: describeError(error),
      };
      status['conditions'] = [...listAt(csr, 'status', 'conditions'), failed];
    }
    const requests = this.#store.collection(CSRS);
    if (requests.get('', entry.name) === entry) requests.put({ ...csr, metadata: { ...csr.metadata }, status }, entry);
  }
}
