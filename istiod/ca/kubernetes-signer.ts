// SPDX-License-Identifier: Apache-2.0
// An authority outside: workloads' requests become CertificateSigningRequests for a named signer, approved by istiod,
// which has judged the caller, and signed by whoever runs that signer (Kubernetes, certificates.k8s.io/v1).

import { randomBytes } from 'node:crypto';
import { createServerCsr } from '#lib/identity/csr.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { CERTIFICATE_SIGNING_REQUEST } from '#lib/kube/kind.ts';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import { encodePem, pemBlocks } from '#lib/wire/pem.ts';
import type { ServingCertificate } from './serving-certificate.ts';
import type { Signer, SigningRequest } from './signer.ts';

const WAIT_MS = 20_000;
const LOOK_EVERY_MS = 100;
/** The API takes no shorter life (CertificateSigningRequestSpec, expirationSeconds). */
const MIN_SECONDS = 600;

export interface KubernetesSignerOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** `example.com/mesh`. */
  readonly signerName: string;
  /** What its certificates are verified by; PEM. */
  readonly rootPem: string;
}

export class KubernetesSigner implements Signer {
  readonly #options: KubernetesSignerOptions;

  constructor(options: KubernetesSignerOptions) {
    this.#options = options;
  }

  get rootPem(): string {
    return this.#options.rootPem;
  }

  /** The chain, leaf first and root last; throws CA_SIGNER when the signer refuses or does not answer in time. */
  async sign({ csrPem, csrUris, signerName, ttlMs, uris = [] }: SigningRequest): Promise<string[]> {
    // This signer goes by the request: it must name what was judged and nothing else.
    if (csrUris.length !== uris.length || csrUris.some((uri) => !uris.includes(uri))) {
      throw new AmbitError('CA_SIGNER', `the request is for ${csrUris.join(', ')}, allowed is ${uris.join(', ')}`);
    }
    const usages = ['digital signature', 'key encipherment', 'server auth', 'client auth'];
    const chain = await this.#request(csrPem, ttlMs, usages, signerName);
    return [...chain, withNewline(this.rootPem)];
  }

  /** A certificate for istiod itself. */
  async issueServing(dnsNames: readonly string[], ttlMs: number): Promise<ServingCertificate> {
    const keys = await generateKey();
    const csr = await createServerCsr(dnsNames, keys);
    const chain = await this.#request(csr, ttlMs, ['digital signature', 'key encipherment', 'server auth']);
    return { keyPem: await keyToPem(keys.privateKey), chainPem: chain.join('') };
  }

  async #request(
    csrPem: string,
    ttlMs: number,
    usages: readonly string[],
    signerName: string = this.#options.signerName,
  ): Promise<string[]> {
    const { client, clock } = this.#options;
    const name = `ambit-${randomBytes(10).toString('hex')}`;
    const created = await client.create<GenericObject>(CERTIFICATE_SIGNING_REQUEST, {
      metadata: { name },
      spec: {
        request: Buffer.from(csrPem).toString('base64'),
        signerName,
        expirationSeconds: Math.max(MIN_SECONDS, Math.floor(ttlMs / 1000)),
        usages,
      },
    });
    try {
      const approval = { type: 'Approved', status: 'True', reason: 'CallerJudged', message: 'istiod knows the caller' };
      await client.update(CERTIFICATE_SIGNING_REQUEST, { ...created, status: { conditions: [approval] } }, 'approval');
      const deadline = clock.monotonic() + WAIT_MS;
      for (;;) {
        const found = await client.get(CERTIFICATE_SIGNING_REQUEST, { name });
        const conditions = (found?.status?.['conditions'] ?? []) as readonly Condition[];
        const refused = conditions.find(({ type }) => type === 'Denied' || type === 'Failed');
        if (refused !== undefined)
          throw broken(signerName, `${refused.type}: ${refused.message ?? refused.reason ?? ''}`);
        const certificate = found?.status?.['certificate'];
        if (typeof certificate === 'string' && certificate !== '') return this.#chain(certificate, signerName);
        if (clock.monotonic() > deadline) throw broken(signerName, `no certificate within ${WAIT_MS / 1000} s`);
        await clock.sleep(LOOK_EVERY_MS);
      }
    } finally {
      await client.delete(CERTIFICATE_SIGNING_REQUEST, { name }).catch(() => undefined);
    }
  }

  /** The root, when the signer sends it along, is ours to add. */
  #chain(certificate: string, signerName: string): string[] {
    const text = Buffer.from(certificate, 'base64').toString('utf8');
    const roots = new Set(certificates(this.rootPem));
    const chain = certificates(text).filter((pem) => !roots.has(pem));
    if (chain.length === 0) throw broken(signerName, 'its answer holds no certificate');
    return chain;
  }
}

function broken(signerName: string, message: string): AmbitError {
  return new AmbitError('CA_SIGNER', `signer ${signerName}: ${message}`, {
    advice: 'check that the signer runs, and that istiod may approve for it (RBAC: approve signers)',
  });
}

/** Each certificate of a text, written one way. */
function certificates(pem: string): string[] {
  return pemBlocks(pem, 'CERTIFICATE').map((der) => encodePem('CERTIFICATE', der));
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}
