// SPDX-License-Identifier: Apache-2.0
// Counting and logging of one data-plane process. A connection resolves its series once; from then on counting is an addition
// in shared memory. What a slot means is told to main before its first count.

import type { Counters } from '#lib/loop/shared/counters.ts';
import { LINE_KINDS, type LogProducer } from '#lib/loop/shared/log-ring.ts';
import type { Vitals } from '#lib/loop/shared/vitals.ts';
import type { SlotRun } from '#lib/proxy/control.ts';
import type { Labels } from '#lib/proxy/telemetry/labels.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { Fader } from '#lib/proxy/worker/fading.ts';
import { NamedCounts } from '#lib/proxy/worker/named-counts.ts';
import { SlotRoom } from '#lib/proxy/worker/slot-room.ts';
import type { ToMain } from '../control.ts';
import { closedLine, earlyDenyLine, endTexts, openedLine } from '../telemetry/access-line.ts';
import type { ConnectionEnd, ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';
import { trafficLabels } from '../telemetry/labels.ts';
import type { LogFormat } from '../telemetry/line-format.ts';
import { Series, SeriesSlots } from './series.ts';
import { isBetween, SeriesMemory } from './series-memory.ts';

export interface TelemetryOptions {
  readonly counters: Counters;
  readonly log: LogProducer;
  readonly vitals: Vitals;
  readonly toMain: (message: ToMain) => void;
  /** Wall clock, ms. */
  readonly now: () => number;
  readonly format: LogFormat;
  readonly accessLog: boolean;
  readonly openedLog: boolean;
  /** Tell of every DNS question. */
  readonly dnsLog: boolean;
  /** Whether a workload's record is gone. */
  readonly isGone: (party: Party) => boolean;
}

/** Sets of labels; beyond it what is new is not counted until others are forgotten. */
const MAX_SERIES = 20_000;

export class Telemetry implements Fader {
  accessLog: boolean;
  openedLog: boolean;
  dnsLog: boolean;
  readonly #options: TelemetryOptions;
  /** What is counted, by labels. */
  readonly #slots = new Map<string, SeriesSlots>();
  readonly #memory = new SeriesMemory();
  readonly #named: NamedCounts;
  readonly #room: SlotRoom;
  readonly #gauges: { readonly inbound: number; readonly outbound: number };
  #connections = 0;
  #tunnels = 0;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#room = new SlotRoom(options.counters, options.toMain);
    this.#named = new NamedCounts(options.counters, this.#room);
    this.accessLog = options.accessLog;
    this.openedLog = options.openedLog;
    this.dnsLog = options.dnsLog;
    this.#gauges = {
      outbound: this.slot('istio_tcp_sockets_open', { reporter: 'source' }),
      inbound: this.slot('istio_tcp_sockets_open', { reporter: 'destination' }),
    };
  }

  /** Connections open now, in both directions. */
  get connections(): number {
    return this.#connections;
  }

  /** A connection was accepted (+1) or is over (-1). */
  socket(direction: 'inbound' | 'outbound', delta: 1 | -1): void {
    this.#connections += delta;
    this.#options.vitals.setConnections(this.#connections);
    this.add(direction === 'inbound' ? this.#gauges.inbound : this.#gauges.outbound, delta);
  }

  tunnel(delta: 1 | -1): void {
    this.#tunnels += delta;
    this.#options.vitals.setTunnels(this.#tunnels);
  }

  add(slot: number, n: number): void {
    if (slot >= 0) this.#options.counters.add(slot, n);
  }

  /** Counts an event of a family that has few label values. */
  count(name: string, labels: Labels, n = 1): void {
    this.#named.add(name, labels, n);
  }

  /** Puts a value into a histogram. */
  observe(name: string, labels: Labels, buckets: readonly number[], value: number): void {
    // All of them from the start, in order, as readers expect them.
    for (const bound of buckets) this.count(`${name}_bucket`, { ...labels, le: String(bound) }, value <= bound ? 1 : 0);
    this.count(`${name}_bucket`, { ...labels, le: '+Inf' });
    this.count(`${name}_sum`, labels, value);
    this.count(`${name}_count`, labels);
  }

  /** The connection is classified: counts it as opened and tells. */
  opened(record: ConnectionRecord): Series {
    const series = this.#seriesOf(record);
    this.add(series.slots.opened, 1);
    if (this.accessLog && this.openedLog) {
      const { log, format, now } = this.#options;
      series.ends ??= endTexts(record, format);
      log.write(LINE_KINDS.access, openedLine(record, format, now(), series.ends));
    }
    return series;
  }

  /** The connection ended: counts it as closed, as failed if it did, and logs it. */
  closed(record: ConnectionRecord, series: Series, end: ConnectionEnd): void {
    const { sample, slots } = series;
    this.add(this.#flagged(slots, slots.closed, 'istio_tcp_connections_closed_total', sample, end.flag), 1);
    if (end.flag !== '-') {
      this.add(this.#flagged(slots, slots.failed, 'istio_tcp_connections_failed_total', sample, end.flag), 1);
    }
    if (!this.accessLog) return;
    const { log, format, now } = this.#options;
    // Another endpoint may have been tried since it was opened.
    const counted = isBetween(series.sample, record) ? series : this.#seriesOf(record);
    counted.ends ??= endTexts(record, format);
    const line = closedLine(record, end, format, now(), counted.ends);
    log.write(end.flag === 'DENY' ? LINE_KINDS.deny : LINE_KINDS.access, line);
  }

  /** The connection failed before anything was known of it. */
  earlyDeny(direction: 'inbound' | 'outbound', source: string, destination: string, error: string): void {
    if (!this.accessLog) return;
    const { log, format, now } = this.#options;
    const line = earlyDenyLine(
      { direction, sourceAddress: source, destinationAddress: destination, error },
      format,
      now(),
    );
    log.write(LINE_KINDS.deny, line);
  }

  /** A message of the worker itself, for main to log. */
  message(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, unknown>>,
    scope: 'proxy' | 'dns' = 'proxy',
  ): void {
    this.#options.log.write(LINE_KINDS.message, JSON.stringify({ level, scope, message, fields }));
  }

  #seriesOf(record: ConnectionRecord): Series {
    const known = this.#memory.find(record);
    if (known !== undefined) return known;
    const series = new Series(record, this.#slotsOf(record));
    this.#memory.put(series);
    return series;
  }

  #slotsOf(record: ConnectionRecord): SeriesSlots {
    const { service } = record;
    const key = `${record.direction}|${partyKey(record.source)}|${record.sourceIdentity}|${partyKey(record.destination)}|${record.destinationIdentity}|${service === undefined ? '' : `${service.namespace}/${service.hostname}`}|${record.security}`;
    let slots = this.#slots.get(key);
    if (slots !== undefined) {
      slots.latest = record;
      return slots;
    }
    if (this.#slots.size >= MAX_SERIES) return new SeriesSlots(record, -1, -1, -1);
    const labels = trafficLabels(record, '-');
    slots = new SeriesSlots(
      record,
      this.slot('istio_tcp_connections_opened_total', labels),
      this.slot('istio_tcp_received_bytes_total', labels),
      this.slot('istio_tcp_sent_bytes_total', labels),
    );
    this.#slots.set(key, slots);
    return slots;
  }

  #flagged(
    { opened }: SeriesSlots,
    slots: Map<ResponseFlag, number>,
    name: string,
    sample: ConnectionRecord,
    flag: ResponseFlag,
  ): number {
    if (opened < 0) return -1;
    let slot = slots.get(flag);
    if (slot === undefined) {
      slot = this.slot(name, trafficLabels(sample, flag));
      slots.set(flag, slot);
    }
    return slot;
  }

  /** A slot of its own for a series; -1 when there is no room. */
  slot(name: string, labels: Labels): number {
    return this.#room.take(name, labels);
  }

  /** What a slot has counted. */
  counted(slot: number): number {
    return this.#options.counters.get(slot);
  }

  /** The series behind that slot is over; told at the end of the next look. */
  leave(slot: number): void {
    this.#room.leave(slot);
  }

  /** The main process has read these slots for the last time. */
  freed(runs: readonly SlotRun[]): void {
    this.#room.freed(runs);
  }

  /** Whether either end's record is gone. */
  isGone({ destination, source }: ConnectionRecord): boolean {
    const { isGone } = this.#options;
    return (source !== undefined && isGone(source)) || (destination !== undefined && isGone(destination));
  }

  // === Fader ===

  fade(now: number): void {
    for (const [key, slots] of this.#slots) {
      if (!this.#isIdle(slots, now) || !this.isGone(slots.latest)) continue;
      slots.forgotten = true;
      this.#slots.delete(key);
      for (const slot of [slots.opened, slots.received, slots.sent, ...slots.closed.values(), ...slots.failed.values()])
        this.leave(slot);
    }
    this.#room.flush();
  }

  /** Nothing is counted, and every connection that was opened has been closed. */
  #isIdle(slots: SeriesSlots, now: number): boolean {
    const { counters } = this.#options;
    const opened = counters.get(slots.opened);
    let closed = 0;
    for (const slot of slots.closed.values()) closed += counters.get(slot);
    const idle = slots.idle(opened + closed + counters.get(slots.received) + counters.get(slots.sent), now);
    return idle && opened <= closed;
  }
}

function partyKey(party: Party | undefined): string {
  if (party === undefined) return '';
  return `${party.cluster}/${party.namespace}/${party.workloadName}/${party.canonicalName}/${party.canonicalRevision}/${party.app}/${party.region}/${party.zone}`;
}
