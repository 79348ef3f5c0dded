// SPDX-License-Identifier: Apache-2.0
// The connections of one data-plane process that ended last, with the proofs of their decisions: what `/debug/connections` shows. Those
// that failed have a ring of their own, so that a busy node's successes do not wash them out. A proof is kept for a few connections a
// second, and for denials on top of that. Of thousands a second that end well, or that fail, only the first are kept: a ring of the last few
// milliseconds tells less, and what it held would be garbage that has already grown old.
import { formatProof, NO_PROOF, type Recorder, recordProof } from '#lib/mesh/proof.ts';
import type { RecentConnection } from '../control.ts';
import type { ConnectionEnd, ConnectionRecord } from '../telemetry/connection.ts';

const RING = 256;
const SECOND_MS = 1000;
/** Connections a second that end well and are kept, and as many that fail, beside those with a proof. */
const KEPT_PER_SECOND = 64;

interface Entry {
  /** Wall-clock ms. */
  readonly endedAt: number;
  readonly direction: 'inbound' | 'outbound';
  /** Undefined when it failed before anything was known of it. */
  readonly record: ConnectionRecord | undefined;
  /** Both ends of what failed early. */
  readonly source: string;
  readonly destination: string;
  readonly end: ConnectionEnd;
  readonly proof: Recorder;
}

export interface RecentOptions {
  /** Monotonic ms. */
  readonly monotonic: () => number;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Connections a second that get a proof, and as many denials. */
  readonly proofsPerSecond: number;
}

export class RecentConnections {
  readonly #options: RecentOptions;
  readonly #ended: (Entry | undefined)[] = new Array(RING).fill(undefined);
  readonly #failed: (Entry | undefined)[] = new Array(RING).fill(undefined);
  #endedAt = 0;
  #failedAt = 0;
  #second = Number.NEGATIVE_INFINITY;
  #proofs = 0;
  #denials = 0;
  #kept = 0;
  #keptFailed = 0;

  constructor(options: RecentOptions) {
    this.#options = options;
  }

  /** For the decisions of a new connection: one that records if this second has room, else NO_PROOF. */
  recorder(): Recorder {
    this.#renew();
    return this.#proofs < this.#options.proofsPerSecond && this.#proofs++ >= 0 ? recordProof() : NO_PROOF;
  }

  /** Whether a denial that was decided without a proof may be decided again with one. */
  mayProveDenial(): boolean {
    this.#renew();
    return this.#denials < this.#options.proofsPerSecond && this.#denials++ >= 0;
  }

  ended(record: ConnectionRecord, end: ConnectionEnd, proof: Recorder): void {
    if (!proof.enabled && !this.#mayKeep(end)) return;
    const endedAt = this.#options.now();
    this.#push({ endedAt, direction: record.direction, record, source: '', destination: '', end, proof });
  }

  failedEarly(
    direction: 'inbound' | 'outbound',
    source: string,
    destination: string,
    end: ConnectionEnd,
    proof: Recorder,
  ): void {
    if (!proof.enabled && !this.#mayKeep(end)) return;
    const endedAt = this.#options.now();
    this.#push({ endedAt, direction, record: undefined, source, destination, end, proof });
  }

  /** Newest first. */
  list(): RecentConnection[] {
    return [...this.#ended, ...this.#failed]
      .filter((entry) => entry !== undefined)
      .sort((a, b) => b.endedAt - a.endedAt)
      .map(shown);
  }

  #push(entry: Entry): void {
    if (entry.end.error === '') this.#ended[this.#endedAt++ % RING] = entry;
    else this.#failed[this.#failedAt++ % RING] = entry;
  }

  #mayKeep({ error }: ConnectionEnd): boolean {
    this.#renew();
    return (error === '' ? this.#kept++ : this.#keptFailed++) < KEPT_PER_SECOND;
  }

  #renew(): void {
    const now = this.#options.monotonic();
    if (now - this.#second < SECOND_MS) return;
    this.#second = now;
    this.#proofs = this.#denials = this.#kept = this.#keptFailed = 0;
  }
}

function shown({ destination, direction, end, endedAt, proof, record, source }: Entry): RecentConnection {
  const { durationMs, error, flag, receivedBytes, sentBytes } = end;
  return {
    ended: new Date(endedAt).toISOString(),
    direction,
    flag,
    error,
    durationMs: Math.floor(durationMs),
    receivedBytes,
    sentBytes,
    traceId: record?.traceId ?? '',
    security: record?.security ?? 'none',
    src: record?.sourceAddress ?? source,
    srcWorkload: nameOf(record?.source),
    srcIdentity: record?.sourceIdentity ?? '',
    dst: record?.destinationAddress ?? destination,
    dstWorkload: nameOf(record?.destination),
    dstIdentity: record?.destinationIdentity ?? '',
    dstService: record?.service?.hostname ?? '',
    hboneAddress: record?.hboneAddress ?? '',
    ...(end.policy === undefined || end.policy === '' ? {} : { policy: end.policy }),
    ...(end.rule === undefined || end.rule < 0 ? {} : { rule: end.rule + 1 }),
    ...(end.clause === undefined || end.clause === '' ? {} : { clause: end.clause }),
    proof: formatProof(proof.steps),
  };
}

function nameOf(party: ConnectionRecord['source']): string {
  return party === undefined ? '' : `${party.namespace}/${party.name}`;
}
