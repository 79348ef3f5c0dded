// SPDX-License-Identifier: Apache-2.0
// One of many replicas does a task: whoever holds the Lease. A holder that cannot renew steps down before its lease
// runs out, so that two never act at the same time (given clocks that run equally fast). A program that was stopped for
// longer learns of it before it acts: whoever is about to write asks whether the term still holds.
//
//   waiting ──the lease is free, or mine──▶ leading ──not renewed in time, or taken──▶ waiting
//
// Of several revisions of a program one may go first: its replicas ask a holder of another one for the lease, by an
// annotation, and the holder gives it back at its next renewal. So here, too, two never act at the same time.

import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from './client.ts';
import { LEASE } from './kind.ts';
import type { Lease } from './object.ts';

/**
 * A lease that is not renewed for this long is free. Of a leader that is gone for good, the others notice so after 12 s
 * (they look each 1.5 s), which is less than a pod needs to be replaced and 10 s more.
 */
export const LEASE_SECONDS = 9;

/** Shares of a lease's duration. */
const RENEW_EVERY = 1 / 3;
/** A holder that could not renew for this long stops. */
const STEP_DOWN = 2 / 3;
/** Also after a failure: an API server that returns is found within an attempt and this. */
const RETRY_EVERY = 1 / 6;
/** An API server that is silent must not keep us from asking it again. */
const TIMEOUT = 1 / 4;

/** A time of leadership. */
export interface Term {
  /** Aborts when it ends. */
  readonly signal: AbortSignal;
  /** Whether the lease is surely still held: asked before each write. */
  holds(): boolean;
}

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly name: string;
  /** The pod's name: a restarted container of the same pod goes on at once. */
  readonly identity: string;
  /** Whether this replica's revision goes first; the default is that all are equal. */
  readonly goesFirst?: () => boolean;
  /** How long a lease holds that is not renewed; 9 by default. */
  readonly leaseSeconds?: number;
  /** Begins to act, until the term ends. */
  readonly lead: (term: Term) => void;
}

/** On a lease: `false` when its holder would give it to a revision that goes first. */
const FIRST = 'ambit.dev/goes-first';
/** On a lease: who of a revision that goes first asks for it. */
const WANTED = 'ambit.dev/wanted-by';

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
  readonly #leaseMs: number;
  readonly #stop = new AbortController();
  #leading: AbortController | undefined;
  /** When the last renewal that succeeded was asked for. */
  #renewedAt = 0;
  #cancelStepDown: () => void = () => {};
  #seen = { renewTime: '', atMs: 0 };
  #done: Promise<void> = Promise.resolve();

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#leaseMs = (options.leaseSeconds ?? LEASE_SECONDS) * 1000;
  }

  /** Whether it surely leads; a term that was not renewed in time ends here at the latest. */
  get leading(): boolean {
    if (this.#leading === undefined) return false;
    if (this.#options.clock.monotonic() - this.#renewedAt < this.#leaseMs * STEP_DOWN) return true;
    this.#endTerm('the lease could not be renewed');
    return false;
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
    while (!signal.aborted) {
      let answered = true;
      try {
        if (!(await this.#tryToHold())) this.#endTerm('another replica holds the lease');
      } catch (error) {
        answered = false;
        log.debug('cannot renew a lease', { lease: name, error: describeError(error) });
      }
      const share = this.leading && answered ? RENEW_EVERY : RETRY_EVERY;
      await clock.sleep(this.#leaseMs * share, signal).catch(() => undefined);
    }
  }

  async #tryToHold(): Promise<boolean> {
    const { client, clock, identity, name, namespace } = this.#options;
    const { signal } = this.#stop;
    const timeoutMs = this.#leaseMs * TIMEOUT;
    const found = await client.get(LEASE, { namespace, name }, signal, timeoutMs);
    const asked = clock.monotonic();
    const renewTime = found?.spec?.renewTime ?? '';
    if (renewTime !== this.#seen.renewTime || this.#seen.atMs === 0) this.#seen = { renewTime, atMs: asked };
    const sinceMs = asked - this.#seen.atMs;
    const verdict = judgeLease(found, identity, { renewTime, sinceMs });
    const first = this.#options.goesFirst?.() ?? true;
    const { [FIRST]: holderFirst, [WANTED]: wanted, ...others } = found?.metadata.annotations ?? {};
    if (verdict === 'taken') {
      if (found !== undefined && this.#options.goesFirst !== undefined && first && holderFirst === 'false' && !wanted) {
        const annotations = { ...others, [FIRST]: holderFirst, [WANTED]: identity };
        await client.update(LEASE, annotated(found, annotations), undefined, timeoutMs);
      }
      return false;
    }
    // It is for somebody who goes first, unless that one has gone meanwhile.
    const reserved = !first && wanted !== undefined && wanted !== identity;
    if (reserved && verdict === 'free' && sinceMs < this.#leaseMs) return false;
    if (reserved && verdict === 'mine' && found !== undefined) {
      this.#endTerm(`${wanted} goes first`);
      const given = { ...found.spec, holderIdentity: '', renewTime: microTime(clock.now()) };
      await client.update(LEASE, { ...found, spec: given }, undefined, timeoutMs);
      return false;
    }
    const now = microTime(clock.now());
    const transitions = found?.spec?.leaseTransitions ?? 0;
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
      acquireTime: verdict === 'mine' ? (found?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: verdict === 'mine' ? transitions : transitions + 1,
    };
    const annotations = this.#options.goesFirst === undefined ? others : { ...others, [FIRST]: String(first) };
    const next = annotated(found ?? { metadata: { namespace, name } }, annotations);
    if (found === undefined) await client.create(LEASE, { ...next, spec }, undefined, timeoutMs);
    // The version found goes along: of two replicas that try at once, one is told of the conflict.
    else await client.update(LEASE, { ...next, spec }, undefined, timeoutMs);
    this.#hold(asked);
    return true;
  }

  /** The lease is ours from the moment `asked` on. */
  #hold(asked: number): void {
    const { clock, identity, lead, log, name, namespace } = this.#options;
    const leftMs = asked + this.#leaseMs * STEP_DOWN - clock.monotonic();
    if (this.#stop.signal.aborted || leftMs <= 0) return;
    this.#renewedAt = asked;
    this.#cancelStepDown();
    this.#cancelStepDown = clock.after(leftMs, () => void this.leading);
    if (this.#leading !== undefined) return;
    const term = new AbortController();
    this.#leading = term;
    log.info('leading', { lease: `${namespace}/${name}`, identity });
    lead({ signal: term.signal, holds: () => this.leading && this.#leading === term });
  }

  #endTerm(reason: string): void {
    const term = this.#leading;
    if (term === undefined) return;
    this.#leading = undefined;
    this.#cancelStepDown();
    this.#options.log.info('no longer leading', { lease: this.#options.name, reason });
    term.abort();
  }

  async #release(): Promise<void> {
    const { client, clock, identity, log, name, namespace } = this.#options;
    const timeoutMs = this.#leaseMs * TIMEOUT;
    try {
      const found = await client.get(LEASE, { namespace, name }, undefined, timeoutMs);
      if (found?.spec?.holderIdentity !== identity) return;
      const spec = { ...found.spec, holderIdentity: '', renewTime: microTime(clock.now()), leaseDurationSeconds: 1 };
      await client.update(LEASE, { ...found, spec }, undefined, timeoutMs);
    } catch (error) {
      log.debug('cannot give a lease back', { lease: name, error: describeError(error) });
    }
  }
}

function annotated(lease: Lease, annotations: Readonly<Record<string, string>>): Lease {
  const { annotations: _, ...metadata } = lease.metadata;
  const some = Object.keys(annotations).length > 0;
  return { ...lease, metadata: some ? { ...metadata, annotations } : metadata };
}

/** Kubernetes' MicroTime: RFC 3339 with six decimals. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
