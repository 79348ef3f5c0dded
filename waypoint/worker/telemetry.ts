// SPDX-License-Identifier: Apache-2.0
// Counting and logging of one data-plane process. The labels of a request are worked out once for all requests that share them;
// from then on counting is additions in shared memory.
import type { Counters } from '#lib/loop/shared/counters.ts';
import { LINE_KINDS, type LogProducer } from '#lib/loop/shared/log-ring.ts';
import type { Vitals } from '#lib/loop/shared/vitals.ts';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import type { ToMain, WorkerSettings } from '../control.ts';
import type { Exchange } from '../path/exchange.ts';
import type { Origin } from '../path/origin.ts';
import { requestLine } from '../telemetry/access-line.ts';
import { type Labels, requestLabels, streamLabels } from '../telemetry/labels.ts';
import { BUCKETS, HISTOGRAM_SLOTS, REQUEST_SLOTS } from '../telemetry/request-slots.ts';
import type { Member } from '../upstream/member.ts';

/** Where requests with one set of labels are counted. */
export interface RequestSeries {
  /** First of REQUEST_SLOTS, -1 when there was no room. */
  readonly slot: number;
}

export interface TelemetryOptions {
  readonly counters: Counters;
  readonly log: LogProducer;
  readonly vitals: Vitals;
  readonly toMain: (message: ToMain) => void;
  /** Wall clock, ms. */
  readonly now: () => number;
  readonly accessLog: WorkerSettings['accessLog'];
  readonly clusterId: string;
}

/** Series resolved for one origin; beyond it the map is emptied, which costs look-ups and no slot. */
const MAX_PER_ORIGIN = 256;
const MAX_SERIES = 20_000;

export class Telemetry {
  readonly #options: TelemetryOptions;
  readonly #all = new Map<string, RequestSeries>();
  readonly #named = new Map<string, number>();
  #connections = 0;

  constructor(options: TelemetryOptions) {
    this.#options = options;
  }

  /** Whether anybody asks when a request began. */
  get wantsTime(): boolean {
    return this.#options.accessLog.enabled;
  }

  /** A client's connection was accepted (+1) or is over (-1). */
  connection(delta: 1 | -1): void {
    this.#connections += delta;
    this.#options.vitals.setConnections(this.#connections);
  }

  /** Counts an event of a family that has few label values. */
  count(name: string, labels: Labels, n = 1): void {
    const key = `${name}|${Object.values(labels).join('|')}`;
    let slot = this.#named.get(key);
    if (slot === undefined) {
      const { counters, toMain } = this.#options;
      slot = counters.allocate();
      if (slot >= 0) toMain({ kind: 'series', slot, name, labels });
      this.#named.set(key, slot);
    }
    if (slot >= 0) this.#options.counters.add(slot, n);
  }

  /** A message of the worker itself, for main to log. */
  message(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    this.#options.log.write(LINE_KINDS.message, JSON.stringify({ level, message, fields }));
  }

  /** A request is over: counts it and writes it down. */
  requestEnded(exchange: Exchange): void {
    const { origin, stream } = exchange;
    const { slot } = this.#seriesOf(exchange);
    if (slot >= 0) {
      const { counters } = this.#options;
      counters.add(slot, 1);
      observe(counters, slot + 1, Math.max(0, exchange.runtime.loop.now - exchange.begunAt));
      observe(counters, slot + 1 + HISTOGRAM_SLOTS, stream.received);
      observe(counters, slot + 1 + 2 * HISTOGRAM_SLOTS, stream.sent);
    }
    if (!this.#options.accessLog.enabled) return;
    const denied = exchange.access?.allow === false;
    const { log, accessLog, now } = this.#options;
    log.write(denied ? LINE_KINDS.deny : LINE_KINDS.access, requestLine(exchange, origin, accessLog.format, now()));
  }

  /** A stream that is no HTTP was opened, or is over. */
  stream(
    origin: Origin,
    member: Member | null,
    event: 'opened' | 'closed',
    received: number,
    sent: number,
    flags: string,
  ): void {
    const labels = streamLabels(origin, member, flags === '' ? '-' : flags, this.#options.clusterId);
    if (event === 'opened') this.count('istio_tcp_connections_opened_total', labels);
    else {
      this.count('istio_tcp_connections_closed_total', labels);
      this.count('istio_tcp_received_bytes_total', labels, received);
      this.count('istio_tcp_sent_bytes_total', labels, sent);
    }
  }

  #seriesOf(exchange: Exchange): RequestSeries {
    const { origin, member, status, flags, grpc, grpcStatus } = exchange;
    let byMember = origin.series.get(member);
    if (byMember === undefined) {
      if (origin.series.size >= MAX_PER_ORIGIN) origin.series.clear();
      byMember = new Map();
      origin.series.set(member, byMember);
    }
    const outcome = grpc ? `${status} ${flags} ${grpcStatus}` : flags === '' ? statusKey(status) : `${status} ${flags}`;
    let series = byMember.get(outcome);
    if (series === undefined) {
      series = this.#resolve(exchange);
      byMember.set(outcome, series);
    }
    return series;
  }

  #resolve(exchange: Exchange): RequestSeries {
    const { member } = exchange;
    const destination = member === null ? undefined : partyOf(member.workload);
    const labels = requestLabels(exchange, destination, this.#options.clusterId);
    const key = Object.values(labels).join('|');
    let series = this.#all.get(key);
    if (series === undefined) {
      if (this.#all.size >= MAX_SERIES) return { slot: -1 };
      const { counters, toMain } = this.#options;
      const slot = counters.allocateRun(REQUEST_SLOTS);
      if (slot >= 0) toMain({ kind: 'request-series', slot, labels });
      series = { slot };
      this.#all.set(key, series);
    }
    return series;
  }
}

const STATUS_KEYS: string[] = [];

function statusKey(status: number): string {
  STATUS_KEYS[status] ??= String(status);
  return STATUS_KEYS[status];
}

/** Puts a value into the histogram whose slots begin at `slot`: a bucket each, +Inf, sum. */
function observe(counters: Counters, slot: number, value: number): void {
  let at = 0;
  while (at < BUCKETS.length && value > BUCKETS[at]!) at++;
  // Each value is counted in one bucket; a scrape adds them up.
  counters.add(slot + at, 1);
  counters.add(slot + BUCKETS.length + 1, value);
}
