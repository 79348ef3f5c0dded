// SPDX-License-Identifier: Apache-2.0
// How the control plane's servers are reached: roots and token are files that rotate, so both are read again for every use.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { AmbitError } from '#lib/kit/error.ts';
import type { Endpoint } from '#lib/xds/client.ts';

/** How one server of the control plane is reached. */
export interface ServerSettings {
  readonly url: URL;
  /** File of trusted roots, `SYSTEM`, or PEM text; unused for http. */
  readonly rootCa: string;
  readonly alternativeName: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is common to both servers. */
export interface Credentials {
  /** File with the token, or the token itself; '' for none. */
  readonly authToken: string;
  readonly clusterId: string;
}

export function serverEndpoint(server: ServerSettings, credentials: Credentials): Endpoint {
  const { url, rootCa, headers, alternativeName } = server;
  const port = url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port;
  return {
    target: `${url.hostname}:${port}`,
    alternativeName,
    ...(url.protocol === 'http:' ? {} : { rootCertificates: () => readRoots(rootCa) }),
    headers: async () => ({ ...(await tokenHeaders(credentials)), ...headers }),
  };
}

/** The file that holds the roots, if they come from one: a change of it makes a new channel. */
export function rootFile({ rootCa }: ServerSettings): string | undefined {
  return rootCa === 'SYSTEM' || rootCa.includes('-----BEGIN') || !existsSync(rootCa) ? undefined : rootCa;
}

async function readRoots(rootCa: string): Promise<Buffer | undefined> {
  if (rootCa === 'SYSTEM') return undefined;
  if (rootCa.includes('-----BEGIN')) return Buffer.from(rootCa);
  try {
    return await readFile(rootCa);
  } catch (cause) {
    throw new AmbitError('ROOT_CA_UNREADABLE', `roots of the control plane: ${rootCa} cannot be read`, {
      cause,
      advice: 'mount the config map istio-ca-root-cert there, or set XDS_ROOT_CA and CA_ROOT_CA',
    });
  }
}

async function tokenHeaders({ authToken, clusterId }: Credentials): Promise<Record<string, string>> {
  if (authToken === '') return {};
  const token = existsSync(authToken) ? (await readFile(authToken, 'utf8')).trim() : authToken;
  if (token === '') {
    throw new AmbitError('TOKEN_EMPTY', `token file ${authToken} is empty`, {
      advice: 'is the projected token mounted?',
    });
  }
  return { authorization: `Bearer ${token}`, clusterid: clusterId };
}
