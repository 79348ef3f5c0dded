// SPDX-License-Identifier: Apache-2.0
// Kubeconfig files for the same API server seen from different places.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { AmbitError } from '#lib/kit/error.ts';

interface Named {
  readonly name: string;
}
interface KubeConfigText {
  readonly 'current-context'?: string;
  readonly contexts?: readonly (Named & { readonly context: { readonly cluster: string; readonly user: string } })[];
  readonly clusters?: readonly (Named & { readonly cluster: Readonly<Record<string, unknown>> })[];
  readonly users?: readonly (Named & { readonly user: Readonly<Record<string, unknown>> })[];
}

/** The part of a kubeconfig that is in use, with every file it names taken in. */
export interface ApiAccess {
  readonly server: URL;
  readonly cluster: Readonly<Record<string, unknown>>;
  readonly user: Readonly<Record<string, unknown>>;
}

/** Reads the current context of `file`. Throws `KUBECONFIG` when it leads nowhere. */
export function readAccess(file: string): ApiAccess {
  const config = parse(readFileSync(file, 'utf8')) as KubeConfigText;
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters?.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users?.find(({ name }) => name === context?.user)?.user ?? {};
  if (cluster === undefined || typeof cluster['server'] !== 'string') {
    throw new AmbitError('KUBECONFIG', `${file} has no current context that names a cluster`);
  }
  if (user['exec'] !== undefined || user['auth-provider'] !== undefined) {
    throw new AmbitError('KUBECONFIG', `${file} gets its credentials from a program, which the nodes do not have`, {
      advice: 'use a kubeconfig with a client certificate or a token',
    });
  }
  return { server: new URL(cluster['server']), cluster: embedded(cluster, file), user: embedded(user, file) };
}

/** A kubeconfig for the same server at another address. Its certificate is still checked against its own name. */
export function accessAt(access: ApiAccess, server: string, serverName?: string): string {
  const cluster = { ...access.cluster, server, ...(serverName === undefined ? {} : { 'tls-server-name': serverName }) };
  return kubeconfigOf([['playground', { ...access, cluster }]]);
}

/** A kubeconfig with a context for each, the first being the current one. */
export function kubeconfigOf(all: readonly (readonly [name: string, access: ApiAccess])[]): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': all[0]?.[0] ?? '',
    contexts: all.map(([name]) => ({ name, context: { cluster: name, user: name } })),
    clusters: all.map(([name, { cluster }]) => ({ name, cluster })),
    users: all.map(([name, { user }]) => ({ name, user })),
  });
}

/** `certificate-authority: FILE` as `certificate-authority-data`, and so on. */
function embedded(fields: Readonly<Record<string, unknown>>, file: string): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (['certificate-authority', 'client-certificate', 'client-key'].includes(key) && typeof value === 'string') {
      out[`${key}-data`] = readFileSync(resolve(dirname(file), value)).toString('base64');
    } else if (key === 'tokenFile' && typeof value === 'string') {
      out['token'] = readFileSync(resolve(dirname(file), value), 'utf8').trim();
    } else out[key] = value;
  }
  return out;
}
