// SPDX-License-Identifier: Apache-2.0
// The certificate authority with everything around it: its root in the Secret or the folder, or a signer outside;
// istiod's own certificate; and what follows when the root changes while istiod runs.

import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority } from '#lib/identity/authority.ts';
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { KubeError } from '#lib/kube/error.ts';
import type { IstiodConfig } from '../config.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { RenewableCredentials } from '../serve/credentials.ts';
import { KubernetesSigner } from './kubernetes-signer.ts';
import { RootKeeper } from './root-keeper.ts';
import { type LoadedRoot, loadRoot } from './root-store.ts';
import {
  issueServingCertificate,
  keepServingCertificate,
  SERVING_TTL_MS,
  type ServingCertificate,
  servingNames,
} from './serving-certificate.ts';
import { followServingFiles, readServingFiles } from './serving-files.ts';
import { authoritySigner, type Signer } from './signer.ts';

export interface AuthorityOptions {
  readonly config: IstiodConfig;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly trustDomain: string;
  readonly signal: AbortSignal;
}

export interface RunningAuthority {
  readonly signer: Signer;
  /** For the TLS port; renewed by itself until the signal aborts. */
  readonly credentials: RenewableCredentials;
  /** istiod's own certificate, as it is now. */
  serving(): ServingCertificate;
  /** Calls the listener when what certificates are verified by has changed. */
  onRootChange(listener: () => void): void;
  /** Calls the listener with each new certificate of istiod's own. */
  onServingChange(listener: (certificate: ServingCertificate) => void): void;
}

/** Loads or makes the root, or reaches the signer outside; waits for the API server as long as it takes. */
export async function startAuthority(options: AuthorityOptions): Promise<RunningAuthority> {
  const { clock, config, log, signal } = options;
  const listeners: (() => void)[] = [];
  const external = config.externalSigner === '' ? undefined : await externalSigner(options);
  const own = external === undefined ? await ownAuthority(options, () => changed()) : undefined;
  const signer = external ?? authoritySigner(() => own!.authority);
  const names = servingNames(config.namespace, config.revision, config.customHosts);
  const sign = () =>
    external === undefined
      ? issueServingCertificate(own!.authority, names, clock.now())
      : external.issueServing(names, SERVING_TTL_MS);
  const given = await readServingFiles(config.servingFiles);
  const issue = async () => (given && (await readServingFiles(config.servingFiles))) ?? (await sign());
  let serving = given ?? (await sign());
  const servingListeners: ((certificate: ServingCertificate) => void)[] = [];
  const credentials = new RenewableCredentials(serving, signer.rootPem);
  const renew = async (): Promise<void> => {
    serving = await issue();
    credentials.replace(serving, signer.rootPem);
    for (const listener of servingListeners) listener(serving);
  };
  const changed = (): void => {
    noteExpiry(options, signer, own?.authority);
    renew().catch((error: unknown) =>
      log.error('no serving certificate of the new root', { error: describeError(error) }),
    );
    for (const listener of listeners) listener();
  };
  noteExpiry(options, signer, own?.authority);
  if (given === undefined) void keepServingCertificate(renew, { clock, log, signal });
  else void followServingFiles(config.servingFiles, given, renew, { clock, log, signal });
  own?.start(signal);
  return {
    signer,
    credentials,
    serving: () => serving,
    onRootChange: (listener) => listeners.push(listener),
    onServingChange: (listener) => servingListeners.push(listener),
  };
}

async function ownAuthority(options: AuthorityOptions, onChange: () => void): Promise<RootKeeper> {
  const { config } = options;
  const { authority, plugged, secret } = await loadWithPatience(options);
  return new RootKeeper(authority, {
    ...options,
    namespace: config.namespace,
    folder: config.caFolder,
    plugged,
    secret,
    ttlMs: config.rootTtlMs,
    checkEveryMs: config.rootCheckMs,
    graceShare: config.rootGracePercent / 100,
    onChange,
  });
}

type Loaded = Pick<LoadedRoot, 'plugged' | 'secret'> & { readonly authority: Authority };

async function loadWithPatience(options: AuthorityOptions): Promise<Loaded> {
  const { client, clock, config, log, random, signal, trustDomain } = options;
  const backoff = new Backoff({ initialMs: 100, maxMs: 3_000, jitter: 0.2, random });
  for (;;) {
    try {
      const { plugged, secret, ...material }: LoadedRoot = await loadRoot({
        client,
        namespace: config.namespace,
        trustDomain,
        ttlMs: config.rootTtlMs,
        now: clock.now(),
        log,
        folder: config.caFolder,
        keepInPlugged: config.rootInPluggedSecret,
      });
      return { authority: await Authority.load(material), plugged, secret };
    } catch (error) {
      // A damaged root is for people to mend; only the API server's absence passes by itself.
      if (!(error instanceof KubeError)) throw error;
      log.warn('the root of trust cannot be read or kept yet', { error: describeError(error) });
      await clock.sleep(backoff.next(), signal);
    }
  }
}

async function externalSigner({ client, clock, config, log }: AuthorityOptions): Promise<KubernetesSigner> {
  const file = join(config.caFolder, 'root-cert.pem');
  const rootPem = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AmbitError('CA_MATERIAL', `no root certificate of signer ${config.externalSigner} in ${file}`, {
      cause,
      advice: 'put the certificate that its signatures are verified by there (Secret cacerts, key root-cert.pem)',
    });
  });
  log.info('certificates are signed outside', { signer: config.externalSigner });
  return new KubernetesSigner({ client, clock, signerName: config.externalSigner, rootPem });
}

function noteExpiry({ clock, log, metrics }: AuthorityOptions, signer: Signer, authority: Authority | undefined): void {
  const root = new X509Certificate(signer.rootPem);
  const rootEnd = Date.parse(root.validTo) / 1000;
  const chainEnd = authority === undefined ? rootEnd : authority.notAfter / 1000;
  const now = clock.now() / 1000;
  metrics.rootExpiry.set(rootEnd);
  metrics.rootExpirySeconds.set(rootEnd - now);
  metrics.chainExpiry.set(chainEnd);
  metrics.chainExpirySeconds.set(chainEnd - now);
  log.info('certificate authority ready', { root: root.subject, notAfter: new Date(root.validTo).toISOString() });
}
