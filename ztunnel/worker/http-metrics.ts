// SPDX-License-Identifier: Apache-2.0
// Requests counted by reading along at this node's end of connections in clear, for pods whose namespace asks for it
// (docs/guide/http-metrics.md). It never touches the bytes: a connection that is no HTTP, cannot be read, or
// comes when the processor time set aside is used up is given up for good, which is counted.
import type { ByteTap } from '#lib/net/tap.ts';
import { type Fader, Fading } from '#lib/proxy/worker/fading.ts';
import { HttpWatch } from '#lib/wire/watch/http-watch.ts';
import type { GaveUp, HttpListener } from '#lib/wire/watch/outcome.ts';
import type { WorkerSettings } from '../control.ts';
import type { ConnectionRecord } from '../telemetry/connection.ts';
import { DURATION_BUCKETS, httpLabels, methodOf, statusClass } from '../telemetry/http-labels.ts';
import { CpuBudget } from './cpu-budget.ts';
import type { Telemetry } from './telemetry.ts';

/** Pairs of parties; beyond it what is new is not counted until others are forgotten. */
const MAX_PAIRS = 1000;

/** Slots of requests between two parties. */
class Pair extends Fading {
  readonly labels: Readonly<Record<string, string>>;
  /** By version, method and class of status. */
  readonly requests = new Map<string, number>();
  /** A slot for each bucket, the last of which has all; then the sum, then the count. */
  readonly durations: readonly number[];
  /** What they were last asked for by. */
  latest: ConnectionRecord;

  constructor(labels: Readonly<Record<string, string>>, durations: readonly number[], latest: ConnectionRecord) {
    super();
    this.labels = labels;
    this.durations = durations;
    this.latest = latest;
  }
}

export class HttpMetrics implements Fader {
  readonly #settings: WorkerSettings['httpMetrics'];
  readonly #telemetry: Telemetry;
  readonly #now: () => number;
  readonly #budget: CpuBudget;
  readonly #pairs = new Map<string, Pair>();
  #watched = 0;

  /**
   * @param now of the turn, monotonic ms
   * @param monotonic of this very moment, ms
   */
  constructor(
    settings: WorkerSettings['httpMetrics'],
    telemetry: Telemetry,
    now: () => number,
    monotonic: () => number,
  ) {
    this.#settings = settings;
    this.#telemetry = telemetry;
    this.#now = now;
    this.#budget = new CpuBudget(settings.cpuShare, monotonic);
  }

  /**
   * Who is to be shown the bytes of this connection; null: nobody.
   * @param outIsRequest what the accepting side's application says is the client's
   */
  tap(record: ConnectionRecord, outIsRequest: boolean): ByteTap | null {
    const { mode, maxConnections } = this.#settings;
    if (mode === 'off') return null;
    const own = record.direction === 'outbound' ? record.source : record.destination;
    if (mode === 'labelled' && own?.httpMetrics !== true) return null;
    if (this.#watched >= maxConnections) this.unwatched(record, 'full');
    else if (!this.#budget.enough) this.unwatched(record, 'budget');
    else return new WatchedConnection(this, this.#budget, record, outIsRequest, this.#now);
    return null;
  }

  watching(delta: 1 | -1): void {
    this.#watched += delta;
  }

  /** A connection is not read along, or not any further. */
  unwatched({ direction }: ConnectionRecord, reason: GaveUp | 'budget' | 'full' | 'failed'): void {
    const reporter = direction === 'outbound' ? 'source' : 'destination';
    this.#telemetry.count('ambit_http_unwatched_connections_total', { reporter, reason });
  }

  exchange(record: ConnectionRecord, version: 1 | 2, method: string, status: number, startedAt: number): void {
    const pair = this.#pairOf(record);
    if (pair === undefined) return;
    const telemetry = this.#telemetry;
    const key = `${version} ${methodOf(method)} ${statusClass(status)}`;
    let slot = pair.requests.get(key);
    if (slot === undefined) {
      slot = telemetry.slot('ambit_http_requests_total', {
        ...pair.labels,
        protocol: version === 1 ? 'http/1.1' : 'h2',
        method: methodOf(method),
        status_class: statusClass(status),
      });
      pair.requests.set(key, slot);
    }
    telemetry.add(slot, 1);
    const seconds = (this.#now() - startedAt) / 1000;
    const { durations } = pair;
    const last = DURATION_BUCKETS.length;
    for (let i = 0; i < last; i++) if (seconds <= DURATION_BUCKETS[i]!) telemetry.add(durations[i]!, 1);
    telemetry.add(durations[last]!, 1);
    telemetry.add(durations[last + 1]!, seconds);
    telemetry.add(durations[last + 2]!, 1);
  }

  // === Fader ===

  /** Called before the telemetry is, which tells main. */
  fade(now: number): void {
    for (const [key, pair] of this.#pairs) {
      const requests = this.#telemetry.counted(pair.durations.at(-1)!);
      if (!pair.idle(requests, now) || !this.#telemetry.isGone(pair.latest)) continue;
      this.#pairs.delete(key);
      for (const slot of pair.durations) this.#telemetry.leave(slot);
      for (const slot of pair.requests.values()) this.#telemetry.leave(slot);
    }
  }

  #pairOf(record: ConnectionRecord): Pair | undefined {
    const labels = httpLabels(record);
    const key = Object.values(labels).join('|');
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      if (this.#pairs.size >= MAX_PAIRS) return undefined;
      const family = 'ambit_http_request_duration_seconds';
      const durations = [...DURATION_BUCKETS.map(String), '+Inf'].map((le) =>
        this.#telemetry.slot(`${family}_bucket`, { ...labels, le }),
      );
      durations.push(this.#telemetry.slot(`${family}_sum`, labels), this.#telemetry.slot(`${family}_count`, labels));
      pair = new Pair(labels, durations, record);
      this.#pairs.set(key, pair);
    } else pair.latest = record;
    return pair;
  }
}

/** One connection, as long as it is read along. */
class WatchedConnection implements ByteTap, HttpListener {
  readonly #metrics: HttpMetrics;
  readonly #budget: CpuBudget;
  readonly #record: ConnectionRecord;
  readonly #outIsRequest: boolean;
  readonly #watch: HttpWatch;
  #over = false;

  constructor(
    metrics: HttpMetrics,
    budget: CpuBudget,
    record: ConnectionRecord,
    outIsRequest: boolean,
    now: () => number,
  ) {
    this.#metrics = metrics;
    this.#budget = budget;
    this.#record = record;
    this.#outIsRequest = outIsRequest;
    this.#watch = new HttpWatch(this, now);
    metrics.watching(1);
  }

  onOut(bytes: Buffer, start: number, end: number): boolean {
    return this.#show(this.#outIsRequest, bytes, start, end);
  }

  onIn(bytes: Buffer, start: number, end: number): boolean {
    return this.#show(!this.#outIsRequest, bytes, start, end);
  }

  onTapEnd(): void {
    if (this.#over) return;
    this.#guarded(() => this.#watch.end());
    this.#leave();
  }

  onExchange(version: 1 | 2, method: string, status: number, startedAt: number): void {
    this.#metrics.exchange(this.#record, version, method, status, startedAt);
  }

  onGaveUp(reason: GaveUp): void {
    this.#giveUp(reason);
  }

  #show(request: boolean, bytes: Buffer, start: number, end: number): boolean {
    if (this.#over) return false;
    if (!this.#budget.some) {
      this.#giveUp('budget');
      return false;
    }
    this.#guarded(() => {
      if (request) this.#watch.request(bytes, start, end);
      else this.#watch.response(bytes, start, end);
    });
    return !this.#over;
  }

  /** A mistake of ours here must not become the connection's. */
  #guarded(work: () => void): void {
    try {
      this.#budget.spend(work);
    } catch {
      this.#giveUp('failed');
    }
  }

  #giveUp(reason: Parameters<HttpMetrics['unwatched']>[1]): void {
    if (this.#over) return;
    this.#leave();
    this.#metrics.unwatched(this.#record, reason);
  }

  #leave(): void {
    this.#over = true;
    this.#metrics.watching(-1);
  }
}
