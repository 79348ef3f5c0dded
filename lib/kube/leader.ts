// SPDX-License-Identifier: Apache-2.0
// One of many replicas does a task: whoever holds the Lease. A holder that cannot renew steps down before its lease
// runs out, so that two never act at the same time (given clocks that run equally fast).
//
//   waiting ──the lease is free, or mine──▶ leading ──not renewed in time, or taken──▶ waiting

import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from './client.ts';
import { LEASE } from './kind.ts';
import type { Lease } from './object.ts';

/** A lease that is not renewed for this long is free. */
const LEASE_SECONDS = 30;
const RENEW_EVERY_MS = 10_000;
/** A holder that could not renew for this long stops. */
const STEP_DOWN_MS = 20_000;
const RETRY_EVERY_MS = 5_000;

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly name: string;
  /** The pod's name: a restarted container of the same pod goes on at once. */
  readonly identity: string;
  /** Runs while leading; the signal aborts when leadership ends. */
  readonly lead: (signal: AbortSignal) => void;
}

/** What may be done about a lease as it is found. Pure. */
export function judgeLease(
  lease: Lease | undefined,
  identity: string,
  seen: { readonly renewTime: string; readonly sinceMs: number },
): 'mine' | 'free' | 'taken' {
  const holder = lease?.spec?.holderIdentity ?? '';
  if (lease === undefined || holder === '') return 'free';
  if (holder === identity) return 'mine';
  // Other machines' clocks are not trusted: expired is what did not change for its whole duration while we looked.
  const durationMs = (lease.spec?.leaseDurationSeconds ?? LEASE_SECONDS) * 1000;
  return seen.renewTime === (lease.spec?.renewTime ?? '') && seen.sinceMs >= durationMs ? 'free' : 'taken';
}

export class Leader {
  readonly #options: LeaderOptions;
  readonly #stop = new AbortController();
  #leading: AbortController | undefined;
  #seen = { renewTime: '', atMs: 0 };
  #done: Promise<void> = Promise.resolve();

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  get leading(): boolean {
    return this.#leading !== undefined;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Steps down and gives the lease back, so that another replica goes on at once. */
  async stop(): Promise<void> {
    const held = this.leading;
    this.#stop.abort();
    this.#endTerm('the program ends');
    await this.#done;
    if (held) await this.#release();
  }

  async #run(): Promise<void> {
    const { clock, log, name } = this.#options;
    const { signal } = this.#stop;
    let renewedAt = clock.monotonic();
    while (!signal.aborted) {
      try {
        if (await this.#tryToHold()) renewedAt = clock.monotonic();
        else this.#endTerm('another replica holds the lease');
      } catch (error) {
        log.debug('cannot renew a lease', { lease: name, error: describeError(error) });
        if (clock.monotonic() - renewedAt > STEP_DOWN_MS) this.#endTerm('the lease could not be renewed');
      }
      await clock.sleep(this.leading ? RENEW_EVERY_MS : RETRY_EVERY_MS, signal).catch(() => undefined);
    }
  }

  async #tryToHold(): Promise<boolean> {
    const { client, clock, identity, log, name, namespace } = this.#options;
    const found = await client.get(LEASE, { namespace, name }, this.#stop.signal);
    const renewTime = found?.spec?.renewTime ?? '';
    if (renewTime !== this.#seen.renewTime || this.#seen.atMs === 0)
      this.#seen = { renewTime, atMs: clock.monotonic() };
    const verdict = judgeLease(found, identity, { renewTime, sinceMs: clock.monotonic() - this.#seen.atMs });
    if (verdict === 'taken') return false;
    const now = microTime(clock.now());
    const transitions = found?.spec?.leaseTransitions ?? 0;
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: verdict === 'mine' ? (found?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: verdict === 'mine' ? transitions : transitions + 1,
    };
    if (found === undefined) await client.create(LEASE, { metadata: { namespace, name }, spec });
    // The version found goes along: of two replicas that try at once, one is told of the conflict.
    else await client.update(LEASE, { ...found, spec });
    if (this.#leading === undefined && !this.#stop.signal.aborted) {
      this.#leading = new AbortController();
      log.info('leading', { lease: `${namespace}/${name}`, identity });
      this.#options.lead(this.#leading.signal);
    }
    return true;
  }

  #endTerm(reason: string): void {
    const term = this.#leading;
    if (term === undefined) return;
    this.#leading = undefined;
    this.#options.log.info('no longer leading', { lease: this.#options.name, reason });
    term.abort();
  }

  async #release(): Promise<void> {
    const { client, clock, identity, log, name, namespace } = this.#options;
    try {
      const found = await client.get(LEASE, { namespace, name });
      if (found?.spec?.holderIdentity !== identity) return;
      const spec = { ...found.spec, holderIdentity: '', renewTime: microTime(clock.now()), leaseDurationSeconds: 1 };
      await client.update(LEASE, { ...found, spec });
    } catch (error) {
      log.debug('cannot give a lease back', { lease: name, error: describeError(error) });
    }
  }
}

/** Kubernetes' MicroTime: RFC 3339 with six decimals. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
