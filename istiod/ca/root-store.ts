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

/** The authority's material: plugged in, stored, or made now and stored. */
export async function loadRoot(options: RootStoreOptions): Promise<AuthorityMaterial> {
  const { client, folder, log, namespace, now, trustDomain, ttlMs } = options;
  const plugged = await readFolder(folder);
  if (plugged !== undefined) {
    log.info('using the plugged-in certificate authority', { folder });
    return plugged;
  }
  const address = { namespace, name: CA_SECRET };
  const stored = await client.get(SECRET, address);
  if (stored !== undefined) return fromSecret(stored);
  const made = await createRoot({ organization: trustDomain, now, ttlMs });
  try {
    await client.create(SECRET, toSecret(made, namespace));
    log.info('made a new root of trust', { secret: `${namespace}/${CA_SECRET}`, trustDomain });
    return made;
  } catch (error) {
    if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
  }
  // Another replica was faster: its root is everybody's.
  const theirs = await client.get(SECRET, address);
  if (theirs === undefined) throw broken(namespace, 'it was deleted while it was being read');
  return fromSecret(theirs);
}

/** Reads what `ca-cert.pem` and its neighbours hold; undefined when there is no `ca-cert.pem`. */
async function readFolder(folder: string): Promise<AuthorityMaterial | undefined> {
  if (!existsSync(join(folder, FILES.certificate))) return undefined;
  const missing = [FILES.key, FILES.root].filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) {
    throw new AmbitError('CA_MATERIAL', `the certificate authority in ${folder} lacks ${missing.join(' and ')}`, {
      advice: `put ${Object.values(FILES).join(', ')} there, or remove the folder to use a root of our own`,
    });
  }
  const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const chainPem = existsSync(join(folder, FILES.chain)) ? await text(FILES.chain) : '';
  return {
    certificatePem: await text(FILES.certificate),
    keyPem: await text(FILES.key),
    chainPem,
    rootPem: await text(FILES.root),
  };
}

function fromSecret(secret: Secret): AuthorityMaterial {
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
  const data = (value: string): string => Buffer.from(value).toString('base64');
  return {
    metadata: { name: CA_SECRET, namespace },
    type: SECRET_TYPE,
    data: {
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
