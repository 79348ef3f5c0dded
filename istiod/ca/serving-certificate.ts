// SPDX-License-Identifier: Apache-2.0
// istiod's own server certificate, signed by its own authority for the names clients dial, and renewed at half its life.

import type { Authority } from '#lib/identity/authority.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';

export const SERVING_TTL_MS = 90 * 86_400_000;
const RETRY_MS = 60_000;

export interface ServingCertificate {
  readonly keyPem: string;
  /** Leaf first, without the root. */
  readonly chainPem: string;
}

/** Names in istiod's certificate: those that Istio's clients and ours dial. */
export function servingNames(namespace: string, revision: string, customHosts: readonly string[]): string[] {
  const services = ['istiod', 'istiod-remote', 'istio-pilot'];
  if (revision !== '' && revision !== 'default') services.push(`istiod-${revision}`);
  const names = services.map((name) => `${name}.${namespace}.svc`);
  return [...new Set([...names, ...customHosts])];
}

/** Makes a key and has it signed. */
export async function issueServingCertificate(
  authority: Authority,
  dnsNames: readonly string[],
  now: number,
): Promise<ServingCertificate> {
  const keys = await generateKey();
  const chain = await authority.sign({ publicKey: keys.publicKey, dnsNames, ttlMs: SERVING_TTL_MS }, now);
  return { keyPem: await keyToPem(keys.privateKey), chainPem: chain.slice(0, -1).join('') };
}

/** Calls `renew` at half life until `signal` aborts; soon again after a failure. */
export async function keepServingCertificate(
  renew: () => Promise<void>,
  { clock, log, signal }: { clock: Clock; log: Logger; signal: AbortSignal },
): Promise<void> {
  let waitMs = SERVING_TTL_MS / 2;
  while (!signal.aborted) {
    await clock.sleep(waitMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await renew();
      log.info('renewed the serving certificate');
      waitMs = SERVING_TTL_MS / 2;
    } catch (error) {
      log.error('cannot renew the serving certificate', { error: describeError(error) });
      waitMs = RETRY_MS;
    }
  }
}
