// SPDX-License-Identifier: Apache-2.0
// Tokens of service accounts, asked of the API server (TokenRequest).
import type { KubeClient } from './client.ts';
import { resourcePath, SERVICE_ACCOUNT } from './kind.ts';

export interface AccountToken {
  readonly token: string;
  /** RFC 3339; the API server may allow less than was asked for. */
  readonly expires: string;
}

export interface TokenWish {
  readonly seconds: number;
  /** For whom it is; the API server itself when left out. */
  readonly audiences?: readonly string[];
}

export async function accountToken(
  client: KubeClient,
  account: { readonly namespace: string; readonly name: string },
  { audiences, seconds }: TokenWish,
): Promise<AccountToken> {
  const spec = { expirationSeconds: Math.floor(seconds), ...(audiences !== undefined && { audiences }) };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  const path = resourcePath(SERVICE_ACCOUNT, { ...account, subresource: 'token' });
  const { status = {} } = JSON.parse(await client.text(path, { body })) as {
    status?: { token?: string; expirationTimestamp?: string };
  };
  return { token: status.token ?? '', expires: status.expirationTimestamp ?? 'unknown' };
}
