// SPDX-License-Identifier: Apache-2.0
// A node proxy's account that asks replicas for certificates, each time with a token that no replica has judged yet: what
// was judged is remembered.
import { until } from '#lib/testkit/until.ts';
import type { Replica } from './replica.ts';

export interface CertificateCallerOptions {
  /** SPIFFE identity that is asked for. */
  readonly identity: string;
  /** Each serves once. */
  readonly tokens: string[];
  /** PEM of the mesh's root. */
  readonly root: string;
  readonly patienceMs: number;
}

export class CertificateCaller {
  readonly #options: CertificateCallerOptions;

  constructor(options: CertificateCallerOptions) {
    this.#options = options;
  }

  /** One certificate; rejects when none comes. */
  async ask(replica: Replica): Promise<true> {
    const { identity, root, tokens } = this.#options;
    const token = tokens.pop();
    if (token === undefined) throw new Error('no token is left');
    try {
      await replica.certificate(identity, token, root);
      return true;
    } catch (error) {
      // Only a success is remembered.
      tokens.push(token);
      throw error;
    }
  }

  /** Asks until a certificate comes. */
  async insist(replica: Replica): Promise<void> {
    let reason: unknown;
    const attempt = (): Promise<boolean> =>
      this.ask(replica).catch((error: unknown) => {
        reason = error;
        return false;
      });
    await until(`a certificate of ${replica.name}`, attempt, this.#options.patienceMs).catch((error: Error) => {
      error.cause = reason;
      throw error;
    });
  }
}
