// SPDX-License-Identifier: Apache-2.0
//
// Secrets and ConfigMaps that configuration names: read by their names, as long as something names them, never by lists
// of a whole cluster's.

import type { Credential } from '../route/destination-rule.ts';

/** What is to be read. */
export interface NamedRef {
  readonly kind: 'Secret' | 'ConfigMap';
  /** `namespace/name`. */
  readonly key: string;
}

/** An object's data as text, by `Kind namespace/name` in the model's inputs. */
export type NamedData = Readonly<Record<string, string>>;

const NONE = new Uint8Array(0);

/** Secrets that hold the parts of a credential: its own, and one for authorities beside it. */
export function credentialRefs(namespace: string, name: string): readonly NamedRef[] {
  return [
    { kind: 'Secret', key: `${namespace}/${name}` },
    { kind: 'Secret', key: `${namespace}/${name}-cacert` },
  ];
}

/** @param beside the Secret `<name>-cacert`. @returns undefined when neither is there */
export function credentialOf(data: NamedData | undefined, beside: NamedData | undefined): Credential | undefined {
  if (data === undefined && beside === undefined) return undefined;
  const bytes = (text: string | undefined): Uint8Array => (text === undefined ? NONE : Buffer.from(text));
  return {
    certificate: bytes(data?.['tls.crt'] ?? data?.['cert']),
    key: bytes(data?.['tls.key'] ?? data?.['key']),
    ca: bytes(beside?.['ca.crt'] ?? beside?.['cacert'] ?? data?.['ca.crt'] ?? data?.['cacert']),
    crl: bytes(data?.['ca.crl'] ?? data?.['crl']),
  };
}
