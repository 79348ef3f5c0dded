// SPDX-License-Identifier: Apache-2.0
// Fetches the JSON Web Key Sets that RequestAuthentications name, and again from time to time; a set that cannot be had
// any more stands as it was. Addresses inside ranges that an operator has closed are not asked.

import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { request } from 'undici';
import type { Collection, Source } from '#lib/collections/collection.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KeySetRef } from '#lib/model/l7/tokens.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 1 << 20;

export interface KeySetsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly wanted: Collection<KeySetRef>;
  readonly source: Pick<Source<string>, 'set' | 'delete'>;
  readonly refreshMs: number;
  readonly retryMs: number;
  /** Ranges as `10.0.0.0/8` that key sets are not fetched from. */
  readonly blockedRanges: readonly string[];
}

export class KeySets {
  readonly #options: KeySetsOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #blocked: BlockList;
  readonly #unsubscribe: () => void;

  constructor(options: KeySetsOptions) {
    this.#options = options;
    this.#blocked = blockList(options.blockedRanges);
    this.#unsubscribe = options.wanted.subscribe((changes) => {
      for (const { after, key } of changes) {
        this.#running.get(key)?.abort();
        this.#running.delete(key);
        if (after === undefined) options.source.delete(key);
        else this.#begin(key, after);
      }
    });
  }

  stop(): void {
    this.#unsubscribe();
    for (const running of this.#running.values()) running.abort();
    this.#running.clear();
  }

  #begin(key: string, ref: KeySetRef): void {
    const controller = new AbortController();
    this.#running.set(key, controller);
    void this.#keep(key, ref, controller.signal);
  }

  async #keep(key: string, ref: KeySetRef, signal: AbortSignal): Promise<void> {
    const { clock, log, refreshMs, retryMs, source } = this.#options;
    while (!signal.aborted) {
      let waitMs = refreshMs;
      try {
        const text = await this.#fetch(ref, signal);
        if (!signal.aborted) source.set(key, text);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('a key set cannot be fetched; tokens are judged by what was known', {
          set: key,
          error: describeError(error),
        });
        waitMs = retryMs;
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** The set's text, checked to be one. */
  async #fetch({ issuer, uri }: KeySetRef, signal: AbortSignal): Promise<string> {
    const from = uri === '' ? await this.#discover(issuer, signal) : uri;
    const text = await this.#get(from, signal);
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && Array.isArray((value as { keys?: unknown }).keys)) return text;
    throw new AmbitError('KEY_SET', `${from} is no JSON Web Key Set`, { advice: 'it needs a list named keys' });
  }

  /** OpenID Connect Discovery 1.0, section 4. */
  async #discover(issuer: string, signal: AbortSignal): Promise<string> {
    const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const { jwks_uri: uri } = JSON.parse(await this.#get(at, signal)) as { readonly jwks_uri?: unknown };
    if (typeof uri === 'string') return uri;
    throw new AmbitError('KEY_SET', `${at} names no jwks_uri`, { advice: 'set jwksUri in the RequestAuthentication' });
  }

  async #get(url: string, signal: AbortSignal): Promise<string> {
    await this.#assertOpen(url);
    const { body, statusCode } = await request(url, {
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      signal,
      headers: { accept: 'application/json' },
    });
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_BYTES) throw new AmbitError('KEY_SET', `${url} answers more than ${MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    if (statusCode === 200) return Buffer.concat(chunks).toString('utf8');
    throw new AmbitError('KEY_SET', `${url} answered ${statusCode}`, { advice: 'check jwksUri and the issuer' });
  }

  async #assertOpen(url: string): Promise<void> {
    if (this.#options.blockedRanges.length === 0) return;
    const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
    const addresses = isIP(host) === 0 ? await lookup(host, { all: true }) : [{ address: host, family: isIP(host) }];
    const hit = addresses.find(({ address, family }) => this.#blocked.check(address, family === 6 ? 'ipv6' : 'ipv4'));
    if (hit === undefined) return;
    throw new AmbitError('KEY_SET', `${url} is at ${hit.address}, which is closed for key sets`, {
      advice: 'see BLOCKED_CIDRS_IN_JWKS_URIS',
    });
  }
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', length] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, Number(length ?? (family === 'ipv6' ? 128 : 32)), family);
  }
  return list;
}
