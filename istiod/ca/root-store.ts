// SPDX-License-Identifier: Apache-2.0
// Where the root of trust is kept: in the Secret `istio-ca-secret`, so that it outlives this process, or in a folder
// that an operator has plugged in. It is made once for the whole mesh; of several replicas that start together, one
// makes it and the others read it. On request it is kept in the Secret `cacerts` instead, where a plugged-in authority
// lies: what istiod has put there carries a mark, so that it is not taken for somebody's.

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
/** Where an operator's authority lies, and on request our own. */
export const PLUGGED_SECRET = 'cacerts';
const SECRET_TYPE = 'istio.io/ca-root';
/** Key of the Secret, and so a file of the folder, that says: made by istiod. */
const OWN_MARK = 'istio-generated';
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
  /** A new root goes into `cacerts`, unless there is one in `istio-ca-secret`; false by default. */
  readonly keepInPlugged?: boolean;
}

export interface LoadedRoot extends AuthorityMaterial {
  /** It came from the folder. */
  readonly plugged: boolean;
  /** The Secret it is kept in, otherwise. */
  readonly secret: string;
}

/** The authority's material: plugged in, stored, or made now and stored. */
export async function loadRoot(options: RootStoreOptions): Promise<LoadedRoot> {
  const { client, folder, keepInPlugged = false, log, namespace, now, trustDomain, ttlMs } = options;
  // What we have put into `cacerts` comes back by the folder: it is still ours.
  const ours = keepInPlugged && existsSync(join(folder, OWN_MARK));
  const plugged = ours ? undefined : await readFolder(folder);
  if (plugged !== undefined) {
    log.info('using the plugged-in certificate authority', { folder });
    return { ...plugged, plugged: true, secret: PLUGGED_SECRET };
  }
  // One that is in use stays in use, whatever is asked for: another root would end every certificate.
  for (const name of keepInPlugged ? [CA_SECRET, PLUGGED_SECRET] : [CA_SECRET]) {
    const stored = await client.get(SECRET, { namespace, name });
    if (stored !== undefined) return { ...fromSecret(stored), plugged: false, secret: name };
  }
  const secret = keepInPlugged ? PLUGGED_SECRET : CA_SECRET;
  const made = await createRoot({ organization: trustDomain, now, ttlMs });
  const fresh: Secret = { metadata: { name: secret, namespace }, type: SECRET_TYPE };
  try {
    await client.create(SECRET, withMaterial(keepInPlugged ? { ...fresh, data: { [OWN_MARK]: '' } } : fresh, made));
    log.info('made a new root of trust', { secret: `${namespace}/${secret}`, trustDomain });
    return { ...made, plugged: false, secret };
  } catch (error) {
    if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
  }
  // Another replica was faster: its root is everybody's.
  const theirs = await client.get(SECRET, { namespace, name: secret });
  if (theirs === undefined) throw broken(`${namespace}/${secret}`, 'it was deleted while it was being read');
  return { ...fromSecret(theirs), plugged: false, secret };
}

/** Whether a Secret's root is one that istiod made, and so may renew. */
export function isOwnRoot(secret: Secret): boolean {
  return secret.metadata.name !== PLUGGED_SECRET || secret.data?.[OWN_MARK] !== undefined;
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
  const place = `${secret.metadata.namespace ?? ''}/${secret.metadata.name}`;
  if (certificatePem === '') throw broken(place, `its key ${FILES.certificate} is empty`);
  if (keyPem === '') throw broken(place, `its key ${FILES.key} is empty`);
  const rootPem = text(FILES.root);
  // Istio leaves the other keys empty when it made the root itself: it is its own root then.
  return { certificatePem, keyPem, chainPem: text(FILES.chain), rootPem: rootPem === '' ? certificatePem : rootPem };
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

function broken(place: string, message: string): AmbitError {
  return new AmbitError('CA_MATERIAL', `Secret ${place}: ${message}`, {
    advice: 'restore it, or delete it to make a new root (every workload then gets new certificates)',
  });
}
