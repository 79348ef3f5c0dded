// SPDX-License-Identifier: Apache-2.0
// Counting and logging of one data-plane process. The labels of a request are worked out once for all requests that share them;
// from then on counting is additions in shared memory.
import type { AgingMap } from '#lib/kit/aging-map.ts';
import type { Counters } from '#lib/loop/shared/counters.ts';
import { LINE_KINDS, type LogProducer } from '#lib/loop/shared/log-ring.ts';
import type { Vitals } from '#lib/loop/shared/vitals.ts';
import type { WorkloadUid } from '#lib/mesh/workload.ts';
import type { SlotRun } from '#lib/proxy/control.ts';
import type { Labels } from '#lib/proxy/telemetry/labels.ts';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import { type Fader, Fading } from '#lib/proxy/worker/fading.ts';
import { NamedCounts } from '#lib/proxy/worker/named-counts.ts';
import { SlotRoom } from '#lib/proxy/worker/slot-room.ts';
import type { ToMain } from '../control.ts';
import { type ExportRecord, encodeRecord } from '../export/record.ts';
import type { ConnectionRecord, DoorRecord } from '../record/connection.ts';
import type { RequestRecord } from '../record/request.ts';
import type { AccessLogger } from '../telemetry/access-logger.ts';
import { requestLabels, streamLabels } from '../telemetry/labels.ts';
import type { MetricPlan } from '../telemetry/metric-plan.ts';
import type { DoorObserver } from '../telemetry/observer.ts';
import { HISTOGRAM_SLOTS, MESSAGE_SLOT, observe, REQUEST_METRICS, REQUEST_SLOTS } from '../telemetry/request-slots.ts';
import type { Member } from '../upstream/member.ts';

/** A connection whose requests are counted. */
export interface CountedConnection extends ConnectionRecord {
  readonly door: DoorRecord & { readonly observer: DoorObserver };
  /** Series of requests from here, by where they went. */
  readonly series: SeriesMemory;
}

/** Series of a connection's requests, by where they went and by what came of them; of endpoints that nobody asks any more they age. */
export type SeriesMemory = AgingMap<Member | null, Map<string, RequestSeries>>;

export interface CountedRequest extends RequestRecord {
  readonly origin: CountedConnection;
  /** null unless it is gRPC. */
  readonly messages: { takeRequests(): number; takeResponses(): number } | null;
}

/** Where requests, or streams, with one set of labels are counted. */
export class RequestSeries extends Fading {
  /** First of REQUEST_SLOTS, or the one of a metric of streams; -1 when there was no room. */
  readonly slot: number;
  /** Whom its labels tell of, '' being nobody known: of all who share them, those who were looked up last. */
  source: WorkloadUid = '';
  destination: WorkloadUid = '';

  constructor(slot: number) {
    super();
    this.slot = slot;
  }

  between(origin: ConnectionRecord, member: Member | null): this {
    this.source = origin.party?.uid ?? '';
    this.destination = member?.workload.uid ?? '';
    return this;
  }
}

export interface TelemetryOptions {
  readonly counters: Counters;
  readonly log: LogProducer;
  readonly vitals: Vitals;
  readonly toMain: (message: ToMain) => void;
  /** Wall clock, ms. */
  readonly now: () => number;
  readonly clusterId: string;
  /** Whether a workload's record is gone; '' is of nobody known. */
  readonly isGone: (uid: WorkloadUid) => boolean;
}

/** Series of one endpoint that are remembered; what is not is looked up by its labels. */
const MAX_OF_ENDPOINT = 256;
const MAX_SERIES = 20_000;

export class Telemetry implements Fader {
  readonly #options: TelemetryOptions;
  readonly #room: SlotRoom;
  readonly #requests = new Map<string, RequestSeries>();
  /** Of streams: one metric each. */
  readonly #streams = new Map<string, RequestSeries>();
  readonly #named: NamedCounts;
  #connections = 0;
  #tunnels = 0;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#room = new SlotRoom(options.counters, options.toMain);
    this.#named = new NamedCounts(options.counters, this.#room);
  }

  /** A client's connection was accepted (+1) or is over (-1). */
  connection(delta: 1 | -1): void {
    this.#connections += delta;
    this.#options.vitals.setConnections(this.#connections);
  }

  /** A client's tunnel is open (+1) or is over (-1). */
  tunnel(delta: 1 | -1): void {
    this.#tunnels += delta;
    this.#options.vitals.setTunnels(this.#tunnels);
  }

  /** Counts an event of a family that has few label values. */
  count(name: string, labels: Labels, n = 1): void {
    this.#named.add(name, labels, n);
  }

  /** A message of the worker itself, for main to log. */
  message(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    this.#options.log.write(LINE_KINDS.message, JSON.stringify({ level, message, fields }));
  }

  /** Something for a collector or a file; dropped and counted when there is no room. */
  export(record: ExportRecord): void {
    const text = encodeRecord(record);
    if (text !== undefined) this.#options.log.write(LINE_KINDS.export, text);
  }

  /** A request is over: counts it and writes it down. */
  requestEnded(record: CountedRequest): void {
    const { messages, origin, stream } = record;
    const { slot } = this.#seriesOf(record);
    if (slot >= 0) {
      const { counters } = this.#options;
      counters.add(slot, 1);
      observe(counters, slot + 1, Math.max(0, record.runtime.loop.now - record.begunAt));
      observe(counters, slot + 1 + HISTOGRAM_SLOTS, stream.received);
      observe(counters, slot + 1 + 2 * HISTOGRAM_SLOTS, stream.sent);
    }
    if (messages !== null) this.messagesPassed(record);
    for (const logger of origin.door.observer.loggers) this.#log(logger, record);
  }

  /** Counts the messages of a gRPC request that are not counted yet. */
  messagesPassed(record: CountedRequest): void {
    const { slot } = this.#seriesOf(record);
    const { messages } = record;
    if (slot < 0 || messages === null) return;
    const { counters } = this.#options;
    counters.add(slot + MESSAGE_SLOT, messages.takeRequests());
    counters.add(slot + MESSAGE_SLOT + 1, messages.takeResponses());
  }

  /** A stream that is no HTTP is over: writes it down. */
  streamEnded({ door }: CountedConnection, record: () => RequestRecord): void {
    const { loggers } = door.observer;
    if (loggers.length === 0) return;
    const told = record();
    for (const logger of loggers) this.#log(logger, told);
  }

  #log(logger: AccessLogger, record: RequestRecord): void {
    if (!logger.wants(record)) return;
    const { log } = this.#options;
    const now = this.#options.now();
    const text = logger.line(record, now);
    if (logger.to === '') {
      log.write(record.access?.allow === false ? LINE_KINDS.deny : LINE_KINDS.access, text);
      return;
    }
    const { trace } = record;
    this.export({
      kind: 'log',
      to: logger.to,
      time: record.startedAt,
      text,
      traceId: trace?.traceId ?? '',
      spanId: trace?.spanId ?? '',
      attributes: logger.attributes(record, now),
    });
  }

  /** A stream that is no HTTP was opened, or is over. */
  stream(
    origin: CountedConnection,
    member: Member | null,
    event: 'opened' | 'closed',
    received: number,
    sent: number,
    flags: string,
  ): void {
    const labels = streamLabels(origin, member, flags === '' ? '-' : flags, this.#options.clusterId);
    const count = (name: string, n: number): void => {
      const { metrics } = origin.door.observer;
      const own = metrics === null ? labels : metrics.labelsOf(name, labels, null);
      if (own === null) return;
      const { slot } = this.#seriesOfStream(name, own).between(origin, member);
      if (slot >= 0) this.#options.counters.add(slot, n);
    };
    if (event === 'opened') count('istio_tcp_connections_opened_total', 1);
    else {
      count('istio_tcp_connections_closed_total', 1);
      count('istio_tcp_received_bytes_total', received);
      count('istio_tcp_sent_bytes_total', sent);
    }
  }

  /** The main process has read these slots for the last time. */
  freed(runs: readonly SlotRun[]): void {
    this.#room.freed(runs);
  }

  // === Fader ===

  fade(now: number): void {
    this.#fade(this.#requests, REQUEST_SLOTS, now);
    this.#fade(this.#streams, 1, now);
    this.#room.flush();
  }

  #fade(all: Map<string, RequestSeries>, slots: number, now: number): void {
    const { counters, isGone } = this.#options;
    for (const [key, series] of all) {
      const { destination, slot, source } = series;
      // The first counts whatever is counted, but for messages of a gRPC request that is under way.
      let counted = counters.get(slot);
      if (slots > MESSAGE_SLOT) counted += counters.get(slot + MESSAGE_SLOT) + counters.get(slot + MESSAGE_SLOT + 1);
      if (!series.idle(counted, now) || !(isGone(source) || isGone(destination))) continue;
      series.forgotten = true;
      all.delete(key);
      this.#room.leave(slot, slots);
    }
  }

  #seriesOfStream(name: string, labels: Labels): RequestSeries {
    const key = `${name}|${Object.values(labels).join('|')}`;
    let series = this.#streams.get(key);
    if (series === undefined) {
      if (this.#streams.size >= MAX_SERIES) return new RequestSeries(-1);
      series = new RequestSeries(this.#room.take(name, labels));
      this.#streams.set(key, series);
    }
    return series;
  }

  #seriesOf(record: CountedRequest): RequestSeries {
    const { origin, member, status, flags, grpc, grpcStatus } = record;
    let byMember = origin.series.get(member);
    if (byMember === undefined) {
      byMember = new Map();
      origin.series.set(member, byMember);
    }
    const plan = origin.door.observer.metrics;
    const values = plan === null ? null : plan.valuesOf(record);
    const plain = grpc ? `${status} ${flags} ${grpcStatus}` : flags === '' ? statusKey(status) : `${status} ${flags}`;
    const outcome = plan === null ? plain : `${plain}|${plan.id}|${values === null ? '' : values.join('|')}`;
    let series = byMember.get(outcome);
    if (series === undefined || series.forgotten) {
      if (byMember.size >= MAX_OF_ENDPOINT) byMember.clear();
      series = this.#resolve(record, plan, values);
      byMember.set(outcome, series);
    }
    return series;
  }

  #resolve(record: CountedRequest, plan: MetricPlan | null, values: readonly string[] | null): RequestSeries {
    const { grpc, member, origin } = record;
    const destination = member === null ? undefined : partyOf(member.workload);
    const labels = requestLabels(record, destination, this.#options.clusterId);
    const plain = Object.values(labels).join('|');
    const key = plan === null ? plain : `${plain}|${plan.id}|${values?.join('|') ?? ''}`;
    let series = this.#requests.get(key);
    if (series === undefined) {
      if (this.#requests.size >= MAX_SERIES) return new RequestSeries(-1);
      const { counters, toMain } = this.#options;
      const slot = counters.allocateRun(REQUEST_SLOTS);
      if (slot >= 0) {
        const own = plan === null ? {} : { own: plan.changesOf(REQUEST_METRICS, labels, values) };
        toMain({ kind: 'request-series', slot, labels, grpc, ...own });
      }
      series = new RequestSeries(slot);
      this.#requests.set(key, series);
    }
    return series.between(origin, member);
  }
}

const STATUS_KEYS: string[] = [];

function statusKey(status: number): string {
  STATUS_KEYS[status] ??= String(status);
  return STATUS_KEYS[status];
}
