// SPDX-License-Identifier: Apache-2.0
// Where the root of trust is kept: in the Secret `istio-ca-secret`, so that it outlives this process, or in a folder
// that an operator has plugged in. It is made once for the whole mesh; of several replicas that start together, one
// makes it and the others read it.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AuthorityMaterial, createRoot } from '#lib/identity/authority.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { SECRET } from '#lib/kube/kind.ts';
import type { Secret } from '#lib/kube/object.ts';

export const CA_SECRET = 'istio-ca-secret';
const SECRET_TYPE = 'istio.io/ca-root';
const FILES = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  root: 'root-cert.pem',
} as const;

const TLS_FILES = { certificate: 'tls.crt', key: 'tls.key', root: 'ca.crt' } as const;

export interface RootStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Becomes the organisation of a new root. */
  readonly trustDomain: string;
  readonly ttlMs: number;
  /** Wall-clock ms. */
  readonly now: number;
  readonly log: Logger;
  /** Folder of a plugged-in authority; used when it holds `ca-cert.pem`. */
  readonly folder: string;
}

export interface LoadedRoot extends AuthorityMaterial {
  /** It came from the folder. */
  readonly plugged: boolean;
}

/** The authority's material: plugged in, stored, or made now and stored. */
export async function loadRoot(options: RootStoreOptions): Promise<LoadedRoot> {
  const { client, folder, log, namespace, now, trustDomain, ttlMs } = options;
  const plugged = await readFolder(folder);
  if (plugged !== undefined) {
    log.info('using the plugged-in certificate authority', { folder });
    return { ...plugged, plugged: true };
  }
  const address = { namespace, name: CA_SECRET };
  const stored = await client.get(SECRET, address);
  if (stored !== undefined) return { ...fromSecret(stored), plugged: false };
  const made = await createRoot({ organization: trustDomain, now, ttlMs });
  try {
    await client.create(SECRET, toSecret(made, namespace));
    log.info('made a new root of trust', { secret: `${namespace}/${CA_SECRET}`, trustDomain });
    return { ...made, plugged: false };
  } catch (error) {
    if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
  }
  // Another replica was faster: its root is everybody's.
  const theirs = await client.get(SECRET, address);
  if (theirs === undefined) throw broken(namespace, 'it was deleted while it was being read');
  return { ...fromSecret(theirs), plugged: false };
}

/** Reads the files of a plugged-in authority, under Istio's names or those of a TLS Secret; undefined without any. */
export async function readFolder(folder: string): Promise<AuthorityMaterial | undefined> {
  const names = [FILES, TLS_FILES].find(({ certificate }) => existsSync(join(folder, certificate)));
  if (names === undefined) return undefined;
  const missing = [names.key, names.root].filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) {
    throw new AmbitError('CA_MATERIAL', `the certificate authority in ${folder} lacks ${missing.join(' and ')}`, {
      advice: `put ${Object.values(FILES).join(', ')} there, or remove the folder to use a root of our own`,
    });
  }
  const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const chainPem = names === FILES && existsSync(join(folder, FILES.chain)) ? await text(FILES.chain) : '';
  return {
    certificatePem: await text(names.certificate),
    keyPem: await text(names.key),
    chainPem,
    rootPem: await text(names.root),
  };
}

/** The authority a Secret holds; throws CA_MATERIAL when it is damaged. */
export function fromSecret(secret: Secret): AuthorityMaterial {
  const text = (name: string): string => Buffer.from(secret.data?.[name] ?? '', 'base64').toString('utf8');
  const certificatePem = text(FILES.certificate);
  const keyPem = text(FILES.key);
  const place = secret.metadata.namespace ?? '';
  if (certificatePem === '') throw broken(place, `its key ${FILES.certificate} is empty`);
  if (keyPem === '') throw broken(place, `its key ${FILES.key} is empty`);
  const rootPem = text(FILES.root);
  // Istio leaves the other keys empty when it made the root itself: it is its own root then.
  return { certificatePem, keyPem, chainPem: text(FILES.chain), rootPem: rootPem === '' ? certificatePem : rootPem };
}

function toSecret(material: AuthorityMaterial, namespace: string): Secret {
  return withMaterial({ metadata: { name: CA_SECRET, namespace }, type: SECRET_TYPE }, material);
}

/** The Secret with another authority in it. */
export function withMaterial(secret: Secret, material: AuthorityMaterial): Secret {
  const data = (value: string): string => Buffer.from(value).toString('base64');
  return {
    ...secret,
    data: {
      ...secret.data,
      [FILES.certificate]: data(material.certificatePem),
      [FILES.key]: data(material.keyPem),
      [FILES.chain]: data(material.chainPem),
      'key.pem': '',
      [FILES.root]: data(material.rootPem),
    },
  };
}

function broken(namespace: string, message: string): AmbitError {
  return new AmbitError('CA_MATERIAL', `Secret ${namespace}/${CA_SECRET}: ${message}`, {
    advice: 'restore it, or delete it to make a new root (every workload then gets new certificates)',
  });
}
