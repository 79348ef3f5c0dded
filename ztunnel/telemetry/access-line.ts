// SPDX-License-Identifier: Apache-2.0
// One line of the access log, as a data-plane process writes it into its ring; the main process only passes it on. Field names,
// order and both formats are Istio's, so that what reads its logs reads ours. A string is built directly: this runs once
// or twice for each connection.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { ConnectionEnd, ConnectionRecord } from './connection.ts';

export type LogFormat = 'plain' | 'json';
type Level = 'error' | 'warn' | 'info' | 'debug';
interface Span {
  readonly name: string;
  readonly id: string;
  readonly peer: string;
}

/** The fields of both ends that are the same for all connections between them, as they stand in a line. */
export interface EndTexts {
  readonly source: string;
  readonly destination: string;
}

/** Worked out once for connections between the same two, and passed to the lines about them. */
export function endTexts({ source, destination, ...record }: ConnectionRecord, format: LogFormat): EndTexts {
  const secured = record.security !== 'none';
  const from = fields(format);
  from.text('src.workload', source?.name);
  from.text('src.namespace', source?.namespace);
  from.text('src.cluster', source?.cluster);
  if (secured) from.text('src.identity', record.sourceIdentity);
  const to = fields(format);
  to.text('dst.service', record.service?.hostname);
  to.text('dst.workload', destination?.name);
  to.text('dst.namespace', destination?.namespace);
  to.text('dst.cluster', destination?.cluster);
  if (secured) to.text('dst.identity', record.destinationIdentity);
  to.text('direction', record.direction);
  if (record.security === 'node_local') to.bare('node_local', 'true');
  return { source: from.out, destination: to.out };
}

/** A connection was classified and is about to be served. `now`: wall clock in ms, with fractions. */
export function openedLine(
  record: ConnectionRecord,
  format: LogFormat,
  now: number,
  ends: EndTexts = endTexts(record, format),
): string {
  const line = fields(format);
  addEnds(line, record, ends);
  return whole(format, now, 'debug', 'connection opened', spanOf(record), line);
}

/** A connection ended, well or not. */
export function closedLine(
  record: ConnectionRecord,
  end: ConnectionEnd,
  format: LogFormat,
  now: number,
  ends: EndTexts = endTexts(record, format),
): string {
  const line = fields(format);
  addEnds(line, record, ends);
  const outbound = record.direction === 'outbound';
  // Seen from the workload that reports: what it sent is what the client sent when it is the client.
  line.number('bytes_sent', outbound ? end.receivedBytes : end.sentBytes);
  line.number('bytes_recv', outbound ? end.sentBytes : end.receivedBytes);
  line.ms('duration', Math.floor(end.durationMs));
  line.text('policy', end.policy);
  if (end.rule !== undefined && end.rule >= 0) line.number('rule', end.rule + 1);
  line.text('clause', end.clause);
  line.text('dry_run', end.dryRun);
  line.text('error', end.error);
  return whole(format, now, end.error === '' ? 'info' : 'error', 'connection complete', spanOf(record), line);
}

/** A connection failed before source and destination were known. */
export function earlyDenyLine(
  early: Pick<ConnectionRecord, 'direction' | 'sourceAddress' | 'destinationAddress'> & { readonly error: string },
  format: LogFormat,
  now: number,
): string {
  const line = fields(format);
  line.bare('src.addr', early.sourceAddress);
  line.bare('dst.addr', early.destinationAddress);
  line.text('direction', early.direction);
  line.text('error', early.error);
  return whole(format, now, 'warn', 'connection failed', undefined, line);
}

/** The level of a line made here, in either format; its first 64 characters are enough. */
export function levelOf(text: string): Level {
  const plain = text.indexOf('\t') + 1;
  const from = text.startsWith('{') ? '{"level":"'.length : plain;
  const end = text.startsWith('{') ? text.indexOf('"', from) : text.indexOf('\t', from);
  const level = text.slice(from, end);
  return level === 'error' || level === 'warn' || level === 'debug' ? level : 'info';
}

function spanOf({ direction, traceId, sourceAddress }: ConnectionRecord): Span {
  return { name: direction, id: traceId, peer: direction === 'inbound' ? sourceAddress : '' };
}

function addEnds(line: Fields, record: ConnectionRecord, ends: EndTexts): void {
  line.bare('src.addr', record.sourceAddress);
  line.out += ends.source;
  line.bare('dst.addr', record.destinationAddress);
  if (record.hboneAddress !== '') line.bare('dst.hbone_addr', record.hboneAddress);
  line.out += ends.destination;
}

/** Fields are appended in the order in which they are named, each with what separates it from the one before it. */
interface Fields {
  out: string;
  /** A field whose value needs no quotes where the format has a choice: an address. */
  bare(name: string, value: string): void;
  number(name: string, value: number): void;
  /** A duration in whole ms. */
  ms(name: string, value: number): void;
  /** A text in quotes; nothing for undefined and ''. */
  text(name: string, value: string | undefined): void;
}

function fields(format: LogFormat): Fields {
  return format === 'json' ? new JsonFields() : new PlainFields();
}

class PlainFields implements Fields {
  out = '';

  bare(name: string, value: string): void {
    this.out += ` ${name}=${value}`;
  }

  number(name: string, value: number): void {
    this.out += ` ${name}=${value}`;
  }

  ms(name: string, value: number): void {
    this.out += ` ${name}="${value}ms"`;
  }

  text(name: string, value: string | undefined): void {
    if (value !== undefined && value !== '') this.out += ` ${name}=${quoted(value)}`;
  }
}

class JsonFields implements Fields {
  out = '';

  bare(name: string, value: string): void {
    this.out += `,"${name}":${quoted(value)}`;
  }

  number(name: string, value: number): void {
    this.out += `,"${name}":${value}`;
  }

  ms(name: string, value: number): void {
    this.out += `,"${name}":"${value}ms"`;
  }

  text(name: string, value: string | undefined): void {
    if (value !== undefined && value !== '') this.bare(name, value);
  }
}

function whole(
  format: LogFormat,
  now: number,
  level: Level,
  message: string,
  span: Span | undefined,
  { out }: Fields,
): string {
  if (format === 'json') {
    const peer = span === undefined || span.peer === '' ? '' : `,"peer":"${span.peer}"`;
    const tail = span === undefined ? '' : `,"${span.name}":{"id":"${span.id}"${peer}}`;
    return `{"level":"${level}","time":"${timestamp(now)}","scope":"access","message":"${message}"${out}${tail}}\n`;
  }
  const peer = span === undefined || span.peer === '' ? '' : ` peer=${span.peer}`;
  const where = span === undefined ? '' : `:${span.name}{id=${span.id}${peer}}`;
  // Between message and fields stands a tab, after which the first field's blank is one too many.
  return `${timestamp(now)}\t${level}\taccess${where}\t${message}\t${out.slice(1)}\n`;
}

// Names, host names and identities come again and again; finding a kept text is cheaper than looking at its letters.
const MAX_KEPT = 4096;
const kept = new AgingMap<string, string>({ most: MAX_KEPT });

function quoted(value: string): string {
  const known = kept.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(value);
  kept.set(value, text);
  return text;
}

// The second is formatted once, microseconds are put behind it; lines of one turn have one time.
let secondShown = Number.NaN;
let secondText = '';
let timeShown = Number.NaN;
let timeText = '';

function timestamp(now: number): string {
  if (now === timeShown) return timeText;
  const second = Math.floor(now / 1000);
  if (second !== secondShown) {
    secondShown = second;
    secondText = new Date(second * 1000).toISOString().slice(0, 19);
  }
  const micros = Math.floor((now - second * 1000) * 1000);
  timeShown = now;
  timeText = `${secondText}.${String(micros).padStart(6, '0')}Z`;
  return timeText;
}
