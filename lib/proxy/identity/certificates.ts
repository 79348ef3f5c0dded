// SPDX-License-Identifier: Apache-2.0
// A proxy's certificates: where they come from, and who is told of new ones.
import type { WorkloadCertificate } from '#lib/identity/certificate.ts';
import { SecretManager, type SecretState } from '#lib/identity/secret-manager.ts';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { createIssuer, type Issuer, type IssuerSettings } from './issuer.ts';

/** Who is told of certificates. */
export interface CertificateListener {
  /** A new one, also a renewed one. */
  onCertificate(certificate: WorkloadCertificate): void;
  /** An identity has no valid certificate now. */
  onNoCertificate(identity: string, reason: string): void;
}

export interface CertificatesOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class Certificates {
  readonly #issuer: Issuer;
  readonly #secrets: SecretManager;
  #listener: CertificateListener | undefined;

  private constructor(issuer: Issuer, options: CertificatesOptions) {
    this.#issuer = issuer;
    this.#secrets = new SecretManager({
      ...options,
      issue: issuer.issue,
      onIssued: (certificate) => this.#listener?.onCertificate(certificate),
      onUnavailable: (identity, reason) => this.#listener?.onNoCertificate(identity, reason),
    });
  }

  /** Throws what makes the authority unusable from the start. */
  static async create(settings: IssuerSettings, options: CertificatesOptions): Promise<Certificates> {
    return new Certificates(await createIssuer(settings, options.log, options.clock), options);
  }

  /** From now on `listener` is told. */
  tell(listener: CertificateListener): void {
    this.#listener = listener;
  }

  /** The certificate, now or when it comes; rejects with the reason while there is none to be had. */
  get(identity: string): Promise<WorkloadCertificate> {
    return this.#secrets.get(identity);
  }

  /** Fetches ahead of need. */
  prefetch(identity: string): void {
    this.#secrets.prefetch(identity);
  }

  /** The last workload of that identity is gone. */
  forget(identity: string): void {
    this.#secrets.forget(identity);
  }

  /** The authority may be back: what could not be had is asked for again soon. */
  retry(): void {
    this.#secrets.retry();
  }

  /** What is held for every identity. */
  states(): ReadonlyMap<string, SecretState> {
    return this.#secrets.states();
  }

  /** Certificates there are. */
  available(): readonly WorkloadCertificate[] {
    return [...this.states().values()].flatMap((state) => (state.kind === 'available' ? [state.certificate] : []));
  }

  close(): void {
    this.#secrets.stop();
    this.#issuer.close();
  }
}
