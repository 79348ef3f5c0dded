// SPDX-License-Identifier: Apache-2.0
// istiod's own certificate from files, where an operator has it made by somebody else (a mounted Secret): read again
// when it changes, and never given up for a pair that cannot be used. Clients verify it by the same root as ever.

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { ServingCertificate } from './serving-certificate.ts';

/** A mounted Secret changes without telling. */
const CHECK_MS = 10_000;

export interface ServingFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The pair; undefined where neither file is there. Throws CA_MATERIAL when one is missing or they do not fit. */
export async function readServingFiles({ certificate, key }: ServingFiles): Promise<ServingCertificate | undefined> {
  const [chainPem, keyPem] = await Promise.all([textOf(certificate), textOf(key)]);
  if (chainPem === undefined && keyPem === undefined) return undefined;
  if (chainPem === undefined || keyPem === undefined) {
    const missing = chainPem === undefined ? certificate : key;
    throw new AmbitError('CA_MATERIAL', `istiod's own certificate lacks ${missing}`, {
      advice: 'put both files there, or neither, and istiod signs its own',
    });
  }
  try {
    createSecureContext({ cert: chainPem, key: keyPem });
  } catch (cause) {
    throw new AmbitError('CA_MATERIAL', `${certificate} and ${key} are no certificate and its key`, {
      cause,
      advice: 'put a PEM certificate and its PEM key there',
    });
  }
  return { chainPem, keyPem };
}

/** Calls `onChange` when the pair is another one than before, until `signal` aborts. */
export async function followServingFiles(
  files: ServingFiles,
  first: ServingCertificate,
  onChange: () => Promise<void>,
  { clock, log, signal }: { readonly clock: Clock; readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  let last = first;
  let told = '';
  while (!signal.aborted) {
    await clock.sleep(CHECK_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const next = await readServingFiles(files);
      told = '';
      if (next === undefined || (next.chainPem === last.chainPem && next.keyPem === last.keyPem)) continue;
      await onChange();
      last = next;
      log.info('took over the serving certificate from its files', { file: files.certificate });
    } catch (error) {
      const reason = describeError(error);
      if (reason !== told) log.error('the serving certificate cannot be read; the last one stays', { error: reason });
      told = reason;
    }
  }
}

async function textOf(file: string): Promise<string | undefined> {
  return await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
