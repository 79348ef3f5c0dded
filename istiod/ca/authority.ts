// SPDX-License-Identifier: Apache-2.0
// The certificate authority with everything around it: its root in the Secret, istiod's own certificate, the root in
// every namespace, and the service that signs for workloads.

import { X509Certificate } from 'node:crypto';
import { Authority } from '#lib/identity/authority.ts';
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { KubeError } from '#lib/kube/error.ts';
import type { IstiodConfig } from '../config.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { RenewableCredentials } from '../serve/credentials.ts';
import { loadRoot } from './root-store.ts';
import { issueServingCertificate, keepServingCertificate, servingNames } from './serving-certificate.ts';

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
  readonly authority: Authority;
  /** For the TLS port; renewed by itself until the signal aborts. */
  readonly credentials: RenewableCredentials;
}

/** Loads or makes the root; waits for the API server as long as it takes. */
export async function startAuthority(options: AuthorityOptions): Promise<RunningAuthority> {
  const { clock, config, log, metrics, signal } = options;
  const authority = await loadWithPatience(options);
  const root = new X509Certificate(authority.material.rootPem);
  metrics.rootExpiry.set(Date.parse(root.validTo) / 1000);
  log.info('certificate authority ready', { root: root.subject, notAfter: new Date(root.validTo).toISOString() });
  const names = servingNames(config.namespace, config.customHosts);
  const credentials = new RenewableCredentials(await issueServingCertificate(authority, names, clock.now()));
  void keepServingCertificate(
    () => authority,
    names,
    (next) => credentials.replace(next),
    { clock, log, signal },
  );
  return { authority, credentials };
}

async function loadWithPatience(options: AuthorityOptions): Promise<Authority> {
  const { client, clock, config, log, random, signal, trustDomain } = options;
  const backoff = new Backoff({ initialMs: 100, maxMs: 5_000, jitter: 0.2, random });
  for (;;) {
    try {
      const material = await loadRoot({
        client,
        namespace: config.namespace,
        trustDomain,
        ttlMs: config.rootTtlMs,
        now: clock.now(),
        log,
        folder: config.caFolder,
      });
      return await Authority.load(material);
    } catch (error) {
      // A damaged root is for people to mend; only the API server's absence passes by itself.
      if (!(error instanceof KubeError)) throw error;
      log.warn('the root of trust cannot be read or kept yet', { error: describeError(error) });
      await clock.sleep(backoff.next(), signal);
    }
  }
}
