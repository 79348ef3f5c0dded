// SPDX-License-Identifier: Apache-2.0
// Keeps a certificate for each identity that lives on this node: fetches it, renews it at half life, waits longer after each
// failure, and forgets it with the last workload. What is asked for by a waiting connection comes before warm-up, warm-up
// before renewal.
//
//   wanted --issued--> available --half life--> (renewing, still available) --issued--> available
//      \--failed--> unavailable --retry issued--> available
//                        ^------ expired ----------/
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { renewalTime, type WorkloadCertificate } from './certificate.ts';

/** Gets one certificate; rejects with the reason. */
export type Issue = (identity: string, signal: AbortSignal) => Promise<WorkloadCertificate>;

export interface SecretManagerOptions {
  readonly issue: Issue;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Each new certificate, also renewed ones. */
  readonly onIssued: (certificate: WorkloadCertificate) => void;
  /** An identity has no valid certificate now; told once for each reason. */
  readonly onUnavailable: (identity: string, reason: string) => void;
}

export type SecretState =
  | { readonly kind: 'wanted' }
  | { readonly kind: 'available'; readonly certificate: WorkloadCertificate }
  | { readonly kind: 'unavailable'; readonly reason: string };

type Priority = 'background' | 'warmup' | 'real-time';

const URGENCY: Readonly<Record<Priority, number>> = { background: 0, warmup: 1, 'real-time': 2 };
const CONCURRENCY = 8;
const WARMUP_QUEUE = 256;
const BACKOFF = { initialMs: 1000, maxMs: 150_000, jitter: 0.2 };
/** While the authority is away, some identity asks at least so often whether it is back; its success is every other's. */
const AWAY_MS = 3_000;
const STEADY_AFTER_MS = 15 * 60_000;
/** An authority whose certificates are past half their life when they arrive must not be asked in a circle. */
const MIN_RENEWAL_MS = 1000;

interface Entry {
  readonly identity: string;
  state: SecretState;
  priority: Priority;
  /** Wall-clock ms of the next attempt. */
  due: number;
  /** Set while an attempt is in flight. */
  abort: AbortController | undefined;
  readonly backoff: Backoff;
  failingSince: number | undefined;
  /** Its last attempt had no answer. */
  away: boolean;
  /** The authority may be back since the attempt that is in flight began. */
  again: boolean;
  readonly waiters: PromiseWithResolvers<WorkloadCertificate>[];
}

export class SecretManager {
  readonly #options: SecretManagerOptions;
  readonly #entries = new Map<string, Entry>();
  #inFlight = 0;
  #warming = false;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: SecretManagerOptions) {
    this.#options = options;
  }

  /** The certificate, now or when it comes. Rejects at once while the identity is unavailable, with the reason. */
  async get(identity: string): Promise<WorkloadCertificate> {
    if (this.#stopped) throw new AmbitError('CERTIFICATE_UNAVAILABLE', 'certificates are no longer handed out');
    const entry = this.#entry(identity, 'real-time');
    this.#expire(entry);
    const { state } = entry;
    if (state.kind === 'available') return state.certificate;
    if (state.kind === 'unavailable') throw unavailable(identity, state.reason);
    const waiter = Promise.withResolvers<WorkloadCertificate>();
    entry.waiters.push(waiter);
    this.#pump();
    return waiter.promise;
  }

  /** Fetches ahead of need; false when the warm-up queue is full. */
  prefetch(identity: string): boolean {
    if (this.#stopped || this.#entries.has(identity)) return !this.#stopped;
    const queued = [...this.#entries.values()].filter(
      ({ priority, state }) => priority === 'warmup' && state.kind === 'wanted',
    );
    if (queued.length >= WARMUP_QUEUE) return false;
    this.#entry(identity, 'warmup');
    this.#pump();
    return true;
  }

  /** The last workload of this identity is gone: drops certificate and attempts. */
  forget(identity: string): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    this.#entries.delete(identity);
    entry.abort?.abort();
    for (const waiter of entry.waiters) waiter.reject(unavailable(identity, 'no workload of this identity is left'));
  }

  /** The authority may be back: whoever has no certificate, or failed to renew one, asks again within a second. */
  retry(): void {
    const { clock, random } = this.#options;
    for (const entry of this.#entries.values()) {
      // What was asked of an authority that was away may fail yet.
      if (entry.abort !== undefined) entry.again = true;
      if (entry.failingSince === undefined) continue;
      entry.due = Math.min(entry.due, clock.now() + BACKOFF.initialMs * random());
    }
    this.#pump();
  }

  /** What is held for every identity, for dumps. */
  states(): ReadonlyMap<string, SecretState> {
    return new Map([...this.#entries].map(([identity, { state }]) => [identity, state]));
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    for (const identity of [...this.#entries.keys()]) this.forget(identity);
  }

  #entry(identity: string, priority: Priority): Entry {
    let entry = this.#entries.get(identity);
    if (entry === undefined) {
      entry = {
        identity,
        state: { kind: 'wanted' },
        priority,
        due: this.#options.clock.now(),
        abort: undefined,
        backoff: new Backoff({ ...BACKOFF, random: this.#options.random }),
        failingSince: undefined,
        away: false,
        again: false,
        waiters: [],
      };
      this.#entries.set(identity, entry);
    } else if (entry.state.kind === 'wanted' && URGENCY[priority] > URGENCY[entry.priority]) entry.priority = priority;
    return entry;
  }

  // Starts what is due, most urgent and longest due first, and sets the timer for the rest.
  #pump(): void {
    if (this.#stopped) return;
    const now = this.#options.clock.now();
    const idle = [...this.#entries.values()].filter(({ abort }) => abort === undefined);
    const due = idle
      .filter((entry) => entry.due <= now)
      .sort((a, b) => URGENCY[b.priority] - URGENCY[a.priority] || a.due - b.due);
    for (const entry of due) {
      if (this.#inFlight >= CONCURRENCY) break;
      if (entry.priority === 'warmup' && this.#warming) continue;
      void this.#attempt(entry);
    }
    this.#cancelTimer?.();
    const next = Math.min(...idle.filter((entry) => entry.due > now).map((entry) => entry.due));
    if (Number.isFinite(next)) this.#cancelTimer = this.#options.clock.after(next - now, () => this.#pump());
  }

  async #attempt(entry: Entry): Promise<void> {
    const warming = entry.priority === 'warmup';
    entry.abort = new AbortController();
    entry.again = false;
    this.#inFlight++;
    if (warming) this.#warming = true;
    try {
      const certificate = await this.#options.issue(entry.identity, entry.abort.signal);
      if (this.#entries.get(entry.identity) === entry) this.#issued(entry, certificate);
    } catch (error) {
      if (this.#entries.get(entry.identity) === entry) this.#failed(entry, error);
    } finally {
      entry.abort = undefined;
      this.#inFlight--;
      if (warming) this.#warming = false;
      this.#pump();
    }
  }

  #issued(entry: Entry, certificate: WorkloadCertificate): void {
    const now = this.#options.clock.now();
    entry.state = { kind: 'available', certificate };
    entry.priority = 'background';
    // One that is past half its life already (a short one, backdated for clocks that are slow) is renewed halfway from now.
    const half = renewalTime(certificate);
    entry.due = Math.max(half > now ? half : now + (certificate.notAfter - now) / 2, now + MIN_RENEWAL_MS);
    entry.failingSince = undefined;
    entry.backoff.reset();
    this.#answered(entry);
    this.#options.log.debug('certificate issued', {
      identity: entry.identity,
      renewal: new Date(entry.due).toISOString(),
    });
    this.#options.onIssued(certificate);
    for (const waiter of entry.waiters.splice(0)) waiter.resolve(certificate);
  }

  #failed(entry: Entry, error: unknown): void {
    const { clock, random } = this.#options;
    const reason = describeError(error);
    const now = clock.now();
    entry.failingSince ??= now;
    const wait = entry.backoff.next();
    entry.due = now + (now - entry.failingSince >= STEADY_AFTER_MS ? BACKOFF.maxMs : wait);
    if (entry.again) entry.due = Math.min(entry.due, now + BACKOFF.initialMs * random());
    if (isAway(error)) {
      entry.away = true;
      if (!this.#asksSoon(entry, now + AWAY_MS)) entry.due = Math.min(entry.due, now + AWAY_MS);
    } else this.#answered(entry);
    entry.priority = 'background';
    this.#expire(entry);
    this.#options.log.warn('no certificate from the authority', {
      identity: entry.identity,
      reason,
      retryMs: Math.round(entry.due - now),
      inUse: entry.state.kind === 'available' ? new Date(entry.state.certificate.notAfter).toISOString() : undefined,
    });
    if (entry.state.kind === 'available') {
      entry.due = Math.min(entry.due, Math.max(entry.state.certificate.notAfter, now + MIN_RENEWAL_MS));
      return;
    }
    const told = entry.state.kind === 'unavailable' && entry.state.reason === reason;
    entry.state = { kind: 'unavailable', reason };
    for (const waiter of entry.waiters.splice(0)) waiter.reject(unavailable(entry.identity, reason));
    if (!told) this.#options.onUnavailable(entry.identity, reason);
  }

  /** Whether another identity asks an authority that was away before `time`, or is asking it. */
  #asksSoon(but: Entry, time: number): boolean {
    return [...this.#entries.values()].some(
      (entry) => entry !== but && entry.away && (entry.abort !== undefined || entry.due <= time),
    );
  }

  /** There was an answer, whatever it was: whoever had none asks again within a second. */
  #answered(by: Entry): void {
    const { clock, random } = this.#options;
    by.away = false;
    for (const entry of this.#entries.values()) {
      if (entry.away) entry.due = Math.min(entry.due, clock.now() + BACKOFF.initialMs * random());
    }
  }

  // A certificate that nobody renewed in time is worth nothing.
  #expire(entry: Entry): void {
    if (entry.state.kind !== 'available' || entry.state.certificate.notAfter > this.#options.clock.now()) return;
    entry.state = { kind: 'unavailable', reason: 'the certificate expired and was not renewed' };
  }
}

/** No answer of the authority, as opposed to a refusal. */
function isAway(error: unknown): boolean {
  return error instanceof AmbitError && error.code === 'CA_UNREACHABLE';
}

function unavailable(identity: string, reason: string): AmbitError {
  return new AmbitError('CERTIFICATE_UNAVAILABLE', `no certificate for ${identity}: ${reason}`, {
    advice: 'is the control plane reachable, and may this node ask for the identity?',
  });
}
