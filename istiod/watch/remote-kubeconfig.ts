// SPDX-License-Identifier: Apache-2.0
// Kubeconfigs that come in Secrets: whoever may write one there must not get istiod to run programs or to read files.

import { parse } from 'yaml';

/** Names of the ways in which a kubeconfig may make its reader do more than connect. */
const FIELDS: Readonly<Record<string, string>> = {
  exec: 'exec',
  'client-certificate': 'clientCertificate',
  'client-key': 'clientKey',
  tokenFile: 'tokenFile',
};

interface User {
  readonly user?: Readonly<Record<string, unknown>>;
}

/** The unsafe ways that the text uses, by the names that PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS knows. */
export function unsafeWays(text: string): string[] {
  const users = (parse(text) as { readonly users?: readonly User[] } | null)?.users ?? [];
  const ways = users.flatMap(({ user = {} }) => {
    const provider = (user['auth-provider'] as { readonly name?: string } | undefined)?.name;
    const named = provider === undefined || provider === 'oidc' ? [] : [provider];
    return [...named, ...Object.keys(FIELDS).flatMap((field) => (user[field] === undefined ? [] : [FIELDS[field]!]))];
  });
  return [...new Set(ways)];
}
