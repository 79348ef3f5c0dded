// SPDX-License-Identifier: Apache-2.0
// The revocation list of a plugged-in authority, `ca-crl.pem` beside its certificate: read again when it changes, for the
// ConfigMap from which node proxies mount it (CRL_PATH).

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import type { IstiodConfig } from '../config.ts';
import { RootConfigMaps, type RootConfigMapsOptions } from './root-config-maps.ts';

const CRL_KEY = 'ca-crl.pem';
const LEASE = 'ambit-crl-controller';
/** A mounted Secret changes without telling. */
const CHECK_MS = 10_000;

export interface RevocationListOptions {
  /** Of the plugged-in authority. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called with the first list, and with each one that differs from the last. */
  readonly onChange: (pem: string) => void;
}

/** Follows the list until `signal` aborts. A text that holds no list changes nothing. */
export async function followRevocationList(options: RevocationListOptions, signal: AbortSignal): Promise<void> {
  const { clock, folder, log, onChange } = options;
  const file = join(folder, CRL_KEY);
  let last = '';
  let told = '';
  while (!signal.aborted) {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT')
        log.warn('the revocation list cannot be read', { file, error: describeError(error) });
      return undefined;
    });
    if (text !== undefined && text !== last) {
      if (pemBlocks(text, 'X509 CRL').length > 0) {
        last = text;
        log.info('revocation list', { file, lists: pemBlocks(text, 'X509 CRL').length });
        onChange(text);
      } else if (told !== text) {
        log.error('the revocation list holds no list; the last one stays', { file });
        told = text;
      }
    }
    await clock.sleep(CHECK_MS, signal).catch(() => undefined);
  }
}

type Everywhere = Omit<RootConfigMapsOptions, 'name' | 'content' | 'key' | 'lease'>;

/** Has every namespace hold the list, from the moment there is one; stop it yourself. */
export function publishRevocationList(
  { config, ...everywhere }: Everywhere & { readonly config: Pick<IstiodConfig, 'caFolder' | 'crlConfigMap'> },
  signal: AbortSignal,
): { stop(): Promise<void> } {
  let list: string | undefined;
  let maps: RootConfigMaps | undefined;
  const onChange = (pem: string): void => {
    list = pem;
    if (maps !== undefined) maps.refresh();
    else {
      maps = new RootConfigMaps({
        ...everywhere,
        ...{ name: config.crlConfigMap, key: CRL_KEY, lease: LEASE, content: () => list },
      });
      maps.start();
    }
  };
  const { clock, log } = everywhere;
  void followRevocationList({ folder: config.caFolder, clock, log, onChange }, signal);
  return { stop: async () => await maps?.stop() };
}
