// SPDX-License-Identifier: Apache-2.0
// A caller that shows a certificate of the mesh is who its certificate says. TLS has verified the chain; what is left
// is the name. Such a caller is no pod's, so it may not ask for other identities.

import { parseIdentity } from '#lib/mesh/identity.ts';
import { readCertificate } from '#lib/wire/certificate.ts';
import type { Authentication } from './caller.ts';

/** @param trustDomains the mesh's own and its aliases */
export function judgeCertificate(der: Uint8Array, trustDomains: readonly string[]): Authentication {
  const unknown = (reason: string): Authentication => ({
    kind: 'unknown',
    reason: `the client’s certificate ${reason}`,
  });
  const facts = readCertificate(der);
  if (!facts.ok) return unknown('cannot be read');
  const [uri, ...more] = facts.value.uris;
  if (uri === undefined || more.length > 0) return unknown(`has ${facts.value.uris.length} URIs as names, not one`);
  const identity = parseIdentity(uri);
  if (identity === undefined) return unknown(`is for ${uri}, which is no identity of a mesh`);
  if (!trustDomains.includes(identity.trustDomain)) {
    return unknown(`is for ${uri}, of another trust domain than ${trustDomains.join(', ')}`);
  }
  return { kind: 'known', caller: { identity, pod: undefined } };
}
