// SPDX-License-Identifier: Apache-2.0
// One line of the access log, as a data-plane process writes it into its ring; the main process only passes it on. Field names,
// order and both formats are Istio's, so that what reads its logs reads ours. A string is built directly: this runs once
// or twice for each connection.
import type { ConnectionEnd, ConnectionRecord } from './connection.ts';

export type LogFormat = 'plain' | 'json';
type Level = 'error' | 'warn' | 'info' | 'debug';
type Value = string | number | { readonly bare: string };

interface Span {
  readonly name: string;
  readonly id: string;
  readonly peer: string;
}

type Pairs = [string, Value][];

const bare = (text: string): Value => ({ bare: text });

/** A connection was classified and is about to be served. `now`: wall clock in ms, with fractions. */
export function openedLine(record: ConnectionRecord, format: LogFormat, now: number): string {
  return line(format, now, 'debug', 'connection opened', spanOf(record), parties(record));
}

/** A connection ended, well or not. */
export function closedLine(record: ConnectionRecord, end: ConnectionEnd, format: LogFormat, now: number): string {
  const outbound = record.direction === 'outbound';
  const pairs = parties(record);
  // Seen from the workload that reports: what it sent is what the client sent when it is the client.
  pairs.push(['bytes_sent', outbound ? end.receivedBytes : end.sentBytes]);
  pairs.push(['bytes_recv', outbound ? end.sentBytes : end.receivedBytes]);
  pairs.push(['duration', `${Math.floor(end.durationMs)}ms`]);
  if (end.policy !== undefined && end.policy !== '') pairs.push(['policy', end.policy]);
  if (end.rule !== undefined && end.rule >= 0) pairs.push(['rule', end.rule + 1]);
  if (end.clause !== undefined && end.clause !== '') pairs.push(['clause', end.clause]);
  if (end.dryRun !== undefined && end.dryRun !== '') pairs.push(['dry_run', end.dryRun]);
  if (end.error !== '') pairs.push(['error', end.error]);
  return line(format, now, end.error === '' ? 'info' : 'error', 'connection complete', spanOf(record), pairs);
}

/** A connection failed before source and destination were known. */
export function earlyDenyLine(
  early: Pick<ConnectionRecord, 'direction' | 'sourceAddress' | 'destinationAddress'> & { readonly error: string },
  format: LogFormat,
  now: number,
): string {
  const pairs: Pairs = [
    ['src.addr', bare(early.sourceAddress)],
    ['dst.addr', bare(early.destinationAddress)],
    ['direction', early.direction],
    ['error', early.error],
  ];
  return line(format, now, 'warn', 'connection failed', undefined, pairs);
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

function parties(record: ConnectionRecord): Pairs {
  const { source, destination, service } = record;
  const secured = record.security !== 'none';
  const pairs: Pairs = [['src.addr', bare(record.sourceAddress)]];
  const text = (key: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') pairs.push([key, value]);
  };
  text('src.workload', source?.name);
  text('src.namespace', source?.namespace);
  text('src.cluster', source?.cluster);
  if (secured) text('src.identity', record.sourceIdentity);
  pairs.push(['dst.addr', bare(record.destinationAddress)]);
  if (record.hboneAddress !== '') pairs.push(['dst.hbone_addr', bare(record.hboneAddress)]);
  text('dst.service', service?.hostname);
  text('dst.workload', destination?.name);
  text('dst.namespace', destination?.namespace);
  text('dst.cluster', destination?.cluster);
  if (secured) text('dst.identity', record.destinationIdentity);
  pairs.push(['direction', record.direction]);
  if (record.security === 'node_local') pairs.push(['node_local', bare('true')]);
  return pairs;
}

function line(
  format: LogFormat,
  now: number,
  level: Level,
  message: string,
  span: Span | undefined,
  pairs: Pairs,
): string {
  return format === 'json' ? jsonLine(now, level, message, span, pairs) : plainLine(now, level, message, span, pairs);
}

function plainLine(now: number, level: Level, message: string, span: Span | undefined, pairs: Pairs): string {
  let out = `${timestamp(now)}\t${level}\taccess`;
  if (span !== undefined) out += `:${span.name}{id=${span.id}${span.peer === '' ? '' : ` peer=${span.peer}`}}`;
  out += `\t${message}\t`;
  for (let i = 0; i < pairs.length; i++) {
    const [key, value] = pairs[i]!;
    out += `${i === 0 ? '' : ' '}${key}=`;
    out += typeof value === 'object' ? value.bare : typeof value === 'number' ? String(value) : JSON.stringify(value);
  }
  return `${out}\n`;
}

function jsonLine(now: number, level: Level, message: string, span: Span | undefined, pairs: Pairs): string {
  let out = `{"level":"${level}","time":"${timestamp(now)}","scope":"access","message":"${message}"`;
  for (const [key, value] of pairs) {
    out += `,"${key}":`;
    out += typeof value === 'number' ? String(value) : JSON.stringify(typeof value === 'object' ? value.bare : value);
  }
  if (span !== undefined) {
    out += `,"${span.name}":{"id":"${span.id}"${span.peer === '' ? '' : `,"peer":"${span.peer}"`}}`;
  }
  return `${out}}\n`;
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
