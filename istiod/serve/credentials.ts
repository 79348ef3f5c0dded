// SPDX-License-Identifier: Apache-2.0
// TLS of the secure port, with a certificate that can be replaced while connections live on.

import { ServerCredentials } from '@grpc/grpc-js';
import type { ServingCertificate } from '../ca/serving-certificate.ts';

export class RenewableCredentials extends ServerCredentials {
  constructor(certificate: ServingCertificate) {
    super({}, contextOf(certificate));
  }

  /** New connections get this certificate. */
  replace(certificate: ServingCertificate): void {
    this.updateSecureContextOptions(contextOf(certificate));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ chainPem, keyPem }: ServingCertificate) {
  return { cert: chainPem, key: keyPem, minVersion: 'TLSv1.2' as const };
}
