// SPDX-License-Identifier: Apache-2.0
// One line of the access log, as a data-plane process writes it into its ring; the main process only passes it on. Field names,
// order and both formats are Istio's, so that what reads its logs reads ours. A string is built directly: this runs once
// or twice for each connection.
import type { ConnectionEnd, ConnectionRecord } from './connection.ts';

export type LogFormat = 'plain' | 'json';
type Level = 'error' | 'warn' | 'info' | 'debug';
interface Span {
  readonly name: string;
  readonly id: string;
  readonly peer: string;
}

/** A connection was classified and is about to be served. `now`: wall clock in ms, with fractions. */
export function openedLine(record: ConnectionRecord, format: LogFormat, now: number): string {
  const line = begin(format, now, 'debug', 'connection opened', spanOf(record));
  addParties(line, record);
  return line.end();
}

/** A connection ended, well or not. */
export function closedLine(record: ConnectionRecord, end: ConnectionEnd, format: LogFormat, now: number): string {
  const line = begin(format, now, end.error === '' ? 'info' : 'error', 'connection complete', spanOf(record));
  addParties(line, record);
  const outbound = record.direction === 'outbound';
  // Seen from the workload that reports: what it sent is what the client sent when it is the client.
  line.number('bytes_sent', outbound ? end.receivedBytes : end.sentBytes);
  line.number('bytes_recv', outbound ? end.sentBytes : end.receivedBytes);
  line.text('duration', `${Math.floor(end.durationMs)}ms`);
  line.text('policy', end.policy);
  if (end.rule !== undefined && end.rule >= 0) line.number('rule', end.rule + 1);
  line.text('clause', end.clause);
  line.text('dry_run', end.dryRun);
  line.text('error', end.error);
  return line.end();
}

/** A connection failed before source and destination were known. */
export function earlyDenyLine(
  early: Pick<ConnectionRecord, 'direction' | 'sourceAddress' | 'destinationAddress'> & { readonly error: string },
  format: LogFormat,
  now: number,
): string {
  const line = begin(format, now, 'warn', 'connection failed', undefined);
  line.bare('src.addr', early.sourceAddress);
  line.bare('dst.addr', early.destinationAddress);
  line.text('direction', early.direction);
  line.text('error', early.error);
  return line.end();
}

/** The level of a line made here, in either format. */
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

function addParties(line: LineWriter, record: ConnectionRecord): void {
  const { source, destination, service } = record;
  const secured = record.security !== 'none';
  line.bare('src.addr', record.sourceAddress);
  line.text('src.workload', source?.name);
  line.text('src.namespace', source?.namespace);
  line.text('src.cluster', source?.cluster);
  if (secured) line.text('src.identity', record.sourceIdentity);
  line.bare('dst.addr', record.destinationAddress);
  if (record.hboneAddress !== '') line.bare('dst.hbone_addr', record.hboneAddress);
  line.text('dst.service', service?.hostname);
  line.text('dst.workload', destination?.name);
  line.text('dst.namespace', destination?.namespace);
  line.text('dst.cluster', destination?.cluster);
  if (secured) line.text('dst.identity', record.destinationIdentity);
  line.text('direction', record.direction);
  if (record.security === 'node_local') line.bare('node_local', 'true');
}

/** Fields are appended in the order in which they are named. */
interface LineWriter {
  /** A field whose value needs no quotes where the format has a choice: an address. */
  bare(name: string, value: string): void;
  number(name: string, value: number): void;
  /** A text in quotes; nothing for undefined and ''. */
  text(name: string, value: string | undefined): void;
  end(): string;
}

function begin(format: LogFormat, now: number, level: Level, message: string, span: Span | undefined): LineWriter {
  return format === 'json' ? new JsonLine(now, level, message, span) : new PlainLine(now, level, message, span);
}

class PlainLine implements LineWriter {
  #out: string;
  #gap = '';

  constructor(now: number, level: Level, message: string, span: Span | undefined) {
    const peer = span === undefined || span.peer === '' ? '' : ` peer=${span.peer}`;
    const where = span === undefined ? '' : `:${span.name}{id=${span.id}${peer}}`;
    this.#out = `${timestamp(now)}\t${level}\taccess${where}\t${message}\t`;
  }

  bare(name: string, value: string): void {
    this.#out += `${this.#gap}${name}=${value}`;
    this.#gap = ' ';
  }

  number(name: string, value: number): void {
    this.bare(name, String(value));
  }

  text(name: string, value: string | undefined): void {
    if (value !== undefined && value !== '') this.bare(name, quoted(value));
  }

  end(): string {
    return `${this.#out}\n`;
  }
}

class JsonLine implements LineWriter {
  #out: string;
  readonly #tail: string;

  constructor(now: number, level: Level, message: string, span: Span | undefined) {
    this.#out = `{"level":"${level}","time":"${timestamp(now)}","scope":"access","message":"${message}"`;
    const peer = span === undefined || span.peer === '' ? '' : `,"peer":"${span.peer}"`;
    this.#tail = span === undefined ? '' : `,"${span.name}":{"id":"${span.id}"${peer}}`;
  }

  bare(name: string, value: string): void {
    this.#out += `,"${name}":${quoted(value)}`;
  }

  number(name: string, value: number): void {
    this.#out += `,"${name}":${value}`;
  }

  text(name: string, value: string | undefined): void {
    if (value !== undefined && value !== '') this.bare(name, value);
  }

  end(): string {
    return `${this.#out}${this.#tail}}\n`;
  }
}

// Names, host names and identities come again and again; finding a kept text is cheaper than looking at its letters.
const MAX_KEPT = 4096;
const kept = new Map<string, string>();

function quoted(value: string): string {
  const known = kept.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(value);
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(value, text);
  return text;
}

// The second is formatted once, microseconds are put behind it.
let secondShown = Number.NaN;
let secondText = '';

function timestamp(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== secondShown) {
    secondShown = second;
    secondText = new Date(second * 1000).toISOString().slice(0, 19);
  }
  const micros = Math.floor((now - second * 1000) * 1000);
  return `${secondText}.${String(micros).padStart(6, '0')}Z`;
}
