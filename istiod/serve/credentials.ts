// SPDX-License-Identifier: Apache-2.0
// TLS of the secure port, with a certificate that can be replaced while connections live on, and what callers show there.

import { type Metadata, ServerCredentials } from '@grpc/grpc-js';
import type { ServingCertificate } from '../ca/serving-certificate.ts';
import type { Credentials } from './caller.ts';
import { FORWARDED_CERTIFICATE } from './forwarded.ts';

/** A client may show a certificate of the mesh; whether it is valid decides what it counts for, not whether it gets in. */
const CLIENT_CERTIFICATES = { requestCert: true, rejectUnauthorized: false } as const;

export class RenewableCredentials extends ServerCredentials {
  constructor(certificate: ServingCertificate, clientRootsPem: string) {
    super(CLIENT_CERTIFICATES, contextOf(certificate, clientRootsPem));
  }

  /** New connections get this certificate, and their clients are verified by these roots. */
  replace(certificate: ServingCertificate, clientRootsPem: string): void {
    this.updateSecureContextOptions(contextOf(certificate, clientRootsPem));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ chainPem, keyPem }: ServingCertificate, clientRootsPem: string) {
  return { cert: chainPem, key: keyPem, ca: clientRootsPem, minVersion: 'TLSv1.2' as const };
}

/**
 * What a gRPC call shows.
 * @param certificate the client's, verified by TLS
 * @param remote `address:port` of whom it came from
 */
export function credentialsOf(metadata: Metadata, certificate: Uint8Array | undefined, remote: string): Credentials {
  const text = (key: string): string => metadata.get(key)[0]?.toString() ?? '';
  const forwarded = { header: text(FORWARDED_CERTIFICATE), remote };
  return { authorization: text('authorization'), cluster: text('clusterid'), certificate, forwarded };
}
